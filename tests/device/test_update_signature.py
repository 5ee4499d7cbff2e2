# SPDX-License-Identifier: Apache-2.0
"""Updates that need a signature: what is not signed with the firmware's key changes nothing."""

import shutil

import pytest
from support import TINY
from update_support import Field, make_key, need_openssl, resealed

from bitmar_tiny.api.firmware import build_project, write_project
from bitmar_tiny.api.update import pack_update, send_update, update_status
from bitmar_tiny.codegen import signature
from bitmar_tiny.errors import ConfigError, DataError, DeviceError, ToolError
from bitmar_tiny.frozen import random_model

SIGNATURE_AT, MODEL_AT = 128, 48


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("owner", "other")}


@pytest.fixture(scope="module")
def field(keys, tmp_path_factory):
    need_openssl()
    private, public = keys["owner"]
    return Field(tmp_path_factory.mktemp("field"), public_key=public, key=private)


@pytest.fixture(scope="module")
def others_package(field, keys, tmp_path_factory):
    """Sound in all, and signed with the key of someone else."""
    folder = tmp_path_factory.mktemp("other")
    write_project(
        field.models[0], "host", folder / "p", kernels="portable", updates=True, public_key=keys["other"][1]
    )
    return pack_update(field.models[1], folder / "p", folder / "x", keys["other"][0])


def test_signed_models_run_one_after_the_other(field):
    board = field.board("one")
    for i, slot in ((1, "a"), (2, "b"), (3, "a")):
        package = field.package(i)
        assert package.signed
        now = send_update(board, package)
        assert (now.running, now.model_sha256) == (slot, field.models[i].digest)
    board.restart()
    board.greet()
    board.need(field.models[3])
    board.close()


def wrong_packages(field, others_package):
    good = field.package(1)
    whole = good.head[SIGNATURE_AT : SIGNATURE_AT + 76]
    flipped = bytearray(whole)
    flipped[40] ^= 1
    return {
        "another key": others_package,
        "no signature": resealed(good, head={SIGNATURE_AT: bytes(76)}),
        "a changed byte of the signature": resealed(good, head={SIGNATURE_AT: bytes(flipped)}),
        "a signature cut off": resealed(good, head={SIGNATURE_AT: bytes([whole[0] - 1])}),
        "an impossible length": resealed(good, head={SIGNATURE_AT: b"\xff\xff\xff\xff"}),
        "a signature of another model": resealed(field.package(3), head={SIGNATURE_AT: whole}),
        "a changed byte of the head": resealed(good, head={MODEL_AT: bytes([good.head[MODEL_AT] ^ 1])}),
        "a changed byte of the weights": resealed(good, body={5000: good.body[5000] ^ 1}),
    }


def refuses(field, others_package, name):
    board = field.board(name)
    send_update(board, field.package(2))
    before = update_status(board)
    for what, package in wrong_packages(field, others_package).items():
        with pytest.raises(DeviceError, match="not signed with the key"):
            send_update(board, package)
        assert update_status(board) == before, what
    board.restart()
    board.greet()
    board.need(field.models[2])
    assert send_update(board, field.package(1)).running == "b"
    board.close()


def test_what_the_key_did_not_sign_is_refused_and_the_old_model_goes_on(field, others_package):
    refuses(field, others_package, "two")


@pytest.mark.parametrize(
    "patch",
    [
        ("linux_update.c", "PROOF_ROOM, bm_update_signed}", "PROOF_ROOM, NULL}"),
        ("linux_signature.c", "signature, n, hash, 32) == 1", "signature, n, hash, 32) != 2"),
    ],
)
def test_a_program_that_leaves_the_check_out_is_found(field, keys, others_package, tmp_path, patch):
    private, public = keys["owner"]
    with pytest.raises((AssertionError, DeviceError, pytest.fail.Exception)):
        refuses(Field(tmp_path, public_key=public, key=private, patches=[patch]), others_package, "board")


def test_weights_that_the_signed_hash_does_not_have_are_refused(field):
    """The head is the owner's; the blocks are sound for the line, and another's."""
    good, board = field.package(1), field.board("three")
    mixed = type(good)(good.head + field.package(3).body, *list(vars(good).values())[1:])
    with pytest.raises(DeviceError, match="the update is damaged"):
        send_update(board, mixed)
    board.restart()
    board.greet()
    board.need(field.models[0])
    board.close()


def test_firmware_that_was_given_a_key_leaves_models_of_before_alone(field, tmp_path, others_package):
    """A slot that the program without a key filled does not run under the one with a key."""
    before = Field(tmp_path)
    board = before.board("slots")
    send_update(board, before.package(1))
    board.close()
    shutil.copytree(tmp_path / "slots", field.folder / "four")
    board = field.board("four")
    assert update_status(board).running == "factory"
    board.need(field.models[0])
    board.close()


def test_packing_asks_for_the_right_key(field, keys, tmp_path, monkeypatch):
    project, model = field.folder / "p", field.models[1]
    with pytest.raises(ConfigError, match="only updates with a signature"):
        pack_update(model, project, tmp_path / "x")
    with pytest.raises(ConfigError, match="asks for another key"):
        pack_update(model, project, tmp_path / "x", keys["other"][0])
    with pytest.raises(DataError, match="not a private key"):
        pack_update(model, project, tmp_path / "x", keys["owner"][1])
    with pytest.raises(DataError, match="not of the curve P-256"):
        pack_update(model, project, tmp_path / "x", make_key(tmp_path, "k", "secp384r1")[0])
    write_project(model, "host", tmp_path / "p", kernels="portable", updates=True)
    assert not list((tmp_path / "p" / "src").glob("*signature*"))
    with pytest.raises(ConfigError, match="checks no signature"):
        pack_update(model, tmp_path / "p", tmp_path / "x", keys["owner"][0])
    monkeypatch.setattr(signature.shutil, "which", lambda name: None)
    with pytest.raises(ToolError, match="needs the command 'openssl'"):
        pack_update(model, project, tmp_path / "x", keys["owner"][0])
    assert not (tmp_path / "x").exists()


def test_only_a_public_key_of_the_curve_goes_into_firmware(keys, tmp_path):
    model = random_model(TINY)
    private, public = keys["owner"]
    damaged = tmp_path / "damaged.pem"
    key = bytearray(signature.read_public(public))
    key[-1] ^= 1  # then the point is not on the curve
    damaged.write_text(
        "-----BEGIN PUBLIC KEY-----\n"
        + signature.base64.b64encode(key).decode()
        + "\n-----END PUBLIC KEY-----\n"
    )
    (tmp_path / "text").write_text("hello")
    for path, words in (
        (private, "a private key"),
        (damaged, "not the PEM file"),
        (tmp_path / "text", "not the PEM file"),
        (make_key(tmp_path, "k", "secp384r1")[1], "not the PEM file"),
        (tmp_path / "nowhere", "no such file"),
    ):
        with pytest.raises(DataError, match=words):
            write_project(model, "host", tmp_path / "p", kernels="portable", updates=True, public_key=path)
    with pytest.raises(ConfigError, match="needs no public key"):
        write_project(model, "host", tmp_path / "p", kernels="portable", public_key=public)
    assert not (tmp_path / "p").exists()


def test_a_compiler_without_openssl_gets_a_sentence(keys, tmp_path):
    """Its headers are not found: said before anything else is."""
    project = write_project(
        random_model(TINY),
        "host",
        tmp_path / "p",
        kernels="portable",
        updates=True,
        public_key=keys["owner"][1],
    )
    source = project.sources / "linux_signature.c"
    source.write_text(source.read_text().replace("<openssl/", "<no-openssl/"))
    with pytest.raises(ToolError, match="signed updates need OpenSSL for the board: install libssl-dev"):
        build_project(project, compiler="gcc")
