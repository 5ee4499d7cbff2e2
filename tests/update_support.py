# SPDX-License-Identifier: Apache-2.0
"""What tests of updates share: the C on simulated storage, a program in the field, and packages for it."""

import hashlib
import struct
import subprocess
import zlib

from firmware.build import HERE, ROOT, compile
from support import TINY, need

from bitmar_tiny.api.firmware import build_project, write_project
from bitmar_tiny.api.update import pack_update
from bitmar_tiny.codegen.update import HEAD, Package
from bitmar_tiny.device.channel import LinkChannel
from bitmar_tiny.device.connect import connect
from bitmar_tiny.device.lines import ProgramLine
from bitmar_tiny.frozen import random_model
from bitmar_tiny.run.device import DeviceSession

UPDATE = ROOT / "firmware_templates" / "runtime" / "update"
SOURCES = (UPDATE / "bm_update.c", UPDATE / "bm_sha256.c", UPDATE.parent / "model" / "bm_crc32.c")


def driver(folder, *flags):
    flags = (*flags, "-DBM_UPDATE_NOTED=2u", f"-I{UPDATE}", f"-I{UPDATE.parent / 'link'}")
    return compile((HERE / "update_driver.c", *SOURCES), flags, folder / "update_driver")


def run(command, *arguments):
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    return list(map(int, done.stdout.split()))


class Field:
    """A project whose program runs somewhere else, and models for it."""

    def __init__(self, folder, memory="auto", public_key=None, key=None):
        need("host", "gcc")
        self.folder, self.key = folder, key
        self.models = [random_model(TINY, seed=i) for i in range(4)]
        options = {"kernels": "portable", "memory": memory, "updates": True, "public_key": public_key}
        project = write_project(self.models[0], "host", folder / "p", **options)
        self.store = project.memory_store
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
