# SPDX-License-Identifier: Apache-2.0
"""What tests of updates share: the C on simulated storage, a program in the field, and packages for it."""

import hashlib
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from firmware.build import HERE, ROOT, compile
from support import TINY, need

from bitmar_tiny.api.firmware import build_project, write_project
from bitmar_tiny.api.update import pack_update, send_update, update_status
from bitmar_tiny.codegen.update import HEAD, UNIT, Package, proof
from bitmar_tiny.device.channel import LinkChannel
from bitmar_tiny.device.connect import connect
from bitmar_tiny.device.lines import ProgramLine
from bitmar_tiny.errors import DeviceError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.run.device import DeviceSession

UPDATE = ROOT / "firmware_templates" / "runtime" / "update"
SOURCES = (UPDATE / "bm_update.c", UPDATE / "bm_sha256.c", UPDATE.parent / "model" / "bm_crc32.c")


def driver(folder, *flags, name="update_driver", sources=SOURCES):
    """``name``: of a program in firmware/."""
    flags = (*flags, "-DBM_UPDATE_NOTED=2u", f"-I{UPDATE}", f"-I{UPDATE.parent / 'link'}")
    return compile((HERE / f"{name}.c", *sources), flags, folder / name)


def run(command, *arguments):
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    return list(map(int, done.stdout.split()))


def make_key(folder, name, curve="prime256v1"):
    """Files of a private key and its public half."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl: apt-get install openssl")
    private, public = folder / f"{name}.key", folder / f"{name}.pem"
    for command in (
        ["ecparam", "-name", curve, "-genkey", "-noout", "-out", private],
        ["pkey", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)
    return private, public


def need_openssl():
    """Skip the test where programs cannot be linked with it."""
    if not Path("/usr/include/openssl/evp.h").is_file():
        pytest.skip("no headers of OpenSSL: apt-get install libssl-dev")


class Field:
    """A project whose program runs somewhere else, and models for it."""

    def __init__(self, folder, memory="auto", public_key=None, key=None, patches=()):
        """``patches``: (source, text, text in its place) of what is built."""
        need("host", "gcc")
        self.folder, self.key = folder, key
        self.models = [random_model(TINY, seed=i) for i in range(4)]
        options = {"kernels": "portable", "memory": memory, "updates": True, "public_key": public_key}
        project = write_project(self.models[0], "host", folder / "p", **options)
        self.store = project.memory_store
        for name, old, new in patches:
            text = (project.sources / name).read_text()
            assert text.count(old) == 1, f"{name} no longer holds {old!r} once"
            (project.sources / name).write_text(text.replace(old, new))
        self.program = build_project(project, compiler="gcc")

    def board(self, name):
        store = ["--store", str(self.store)] if self.store else []
        command = [*self.program.command, "link", "--updates", str(self.folder / name), *store]
        return DeviceSession(LinkChannel(connect(ProgramLine(command, "board"))))

    def package(self, i):
        return pack_update(self.models[i], self.folder / "p", self.folder / f"{i}.update", self.key)


def resealed(package, **changes):
    """The package with other bytes, sealed as if it had been packed so."""
    body = bytearray(package.body)
    for at, value in changes.get("body", {}).items():
        body[at] = value
    head = bytearray(package.head)
    head[80:112] = hashlib.sha256(body).digest()
    for at, data in changes.get("head", {}).items():
        head[at : at + len(data)] = data
    head[HEAD - 4 :] = struct.pack("<I", zlib.crc32(head[: HEAD - 4]))
    return Package.parse(bytes(head + body), "a test")


def wrong_proofs(field):
    """Packages whose hash is right, and whose proof proves nothing."""
    good = field.package(2)
    at, model = -(-good.blob_bytes // UNIT) * UNIT, field.models[2]
    right = proof(model)
    n, last = len(right), len(right) - 8

    def packed(data, n=n):
        return resealed(good, body={at + i: b for i, b in enumerate(data)}, head={12: struct.pack("<I", n)})

    beyond = struct.pack("<I", model.config.vocab_size) + right[last - 4 : last]
    return {
        "another logit": packed(right[:12] + bytes([right[12] ^ 1]) + right[13:]),
        "another logit at the end": packed(right[:-1] + bytes([right[-1] ^ 1])),
        "another kind": packed(b"X" + right[1:]),
        "no steps": packed(right[:4] + bytes(4) + right[8:]),
        "a step that is not part of it": packed(proof(model, 13)),
        "too short to say anything": packed(right, n=4),
        "a token that there is not": packed(right[:last] + beyond),
    }


def leaves_what_does_not_prove_itself(field, name):
    """Each wrong proof is found at the start, and the model before goes on."""
    board = field.board(name)
    send_update(board, field.package(1))
    for what, package in wrong_proofs(field).items():
        with pytest.raises(DeviceError, match=r"did not prove itself.*slot a: good, slot b: failed"):
            send_update(board, package)
        assert update_status(board).running == "a", what
    board.need(field.models[1])
    assert send_update(board, field.package(2)).running == "b"  # the right one may come afterwards
    board.close()


def leaves_what_the_storage_changed(field, name):
    """A file that is cut short before it proved itself or after, or changed where only the hash covers it, or
    after its proof where the blob's own sum does.
    """
    board, slot = field.board(name), field.folder / name / "slot-a"
    package = field.package(1)
    whole = package.body
    filling = package.blob_bytes
    assert filling % UNIT
    for changed, proven in (
        (whole[:UNIT], False),
        (whole[:UNIT], True),
        (whole[:filling] + b"\1" + whole[filling + 1 :], False),
        (whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], True),
    ):
        send_update(board, package, restart=proven)
        slot.write_bytes(changed)
        board.restart()
        board.greet()
        now = update_status(board)
        assert (now.running, now.slots[0].state) == ("factory", "failed")
    board.need(field.models[0])
    board.close()
