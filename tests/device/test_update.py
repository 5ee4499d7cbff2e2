# SPDX-License-Identifier: Apache-2.0
"""New weights over the link: power cuts, damaged messages, and a program that is updated."""

import hashlib
import json
import os
import subprocess
import zlib

import pytest
from firmware.build import SANITIZE, compile
from support import TINY
from update_support import (
    UPDATE,
    Field,
    driver,
    leaves_what_does_not_prove_itself,
    leaves_what_the_storage_changed,
    resealed,
    run,
)

from bitmar_tiny.api.firmware import write_project
from bitmar_tiny.api.update import load_update, pack_update, send_update, update_status
from bitmar_tiny.codegen.update import UNIT
from bitmar_tiny.errors import ConfigError, DataError, DeviceError
from bitmar_tiny.frozen import random_model

#: Damaged messages. BITMAR_UPDATE_MESSAGES=1000000 sends a million (docs/how-to/update.md).
MESSAGES = int(os.environ.get("BITMAR_UPDATE_MESSAGES", 50_000))


def test_a_power_cut_at_every_write_of_200_updates_leaves_a_model_that_runs(tmp_path):
    """The old one or the new one, whole; and the update goes on afterwards, with cuts while it starts."""
    cuts, starts, crashes, bad = run(driver(tmp_path, "-O2"), "cuts", 200, 1)
    assert bad == 0 and cuts > 200 * 8 and starts > 2 * cuts and crashes > 20


def test_damaged_messages_change_no_model_that_runs(tmp_path):
    """Under address and undefined-behaviour sanitizers; what was sent whole in between is taken."""
    for what in ("messages", "signed"):
        count, _, changed, bad = run(driver(tmp_path, "-O2", *SANITIZE), what, MESSAGES, 2)
        assert (count, bad) == (MESSAGES, 0) and changed > MESSAGES // 2000


@pytest.mark.parametrize("n", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_sha256_is_that_of_hashlib(sha256, n):
    data = bytes((i * 37 + n) & 255 for i in range(n))
    done = subprocess.run(sha256, input=data, capture_output=True, timeout=60)
    assert done.stdout.decode() == hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def sha256(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sha256")
    (folder / "main.c").write_text(
        "#include <stdio.h>\n"
        '#include "bm_sha256.h"\n'
        "int main(void) { uint8_t d[37]; size_t n; bm_sha256 s; bm_sha256_begin(&s);\n"
        "while ((n = fread(d, 1, 37, stdin)) > 0) bm_sha256_add(&s, d, n);\n"
        'bm_sha256_end(&s, d); for (int i = 0; i < 32; i++) printf("%02x", d[i]); return 0; }\n'
    )
    return compile((folder / "main.c", UPDATE / "bm_sha256.c"), ("-O2", f"-I{UPDATE}"), folder / "sha256")


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    return Field(tmp_path_factory.mktemp("field"))


def test_new_models_run_one_after_the_other_and_stay(field):
    board = field.board("one")
    assert update_status(board).running == "factory"
    for i, slot in ((1, "a"), (2, "b"), (3, "a")):
        now = send_update(board, field.package(i))
        assert (now.running, now.model_sha256) == (slot, field.models[i].digest)
        assert [s.state for s in now.slots if s.name == slot] == ["good"]
    board.restart()
    board.greet()
    board.need(field.models[3])
    assert len(list(board.generate([1, 2, 3], 4))) >= 1
    board.close()


def test_an_update_goes_on_where_the_power_went(field):
    package = field.package(1)
    board = field.board("two")
    assert board.request("update_begin", rest=package.head) == 0
    blocks = 16 + 3
    assert len(package.body) > (blocks + 1) * UNIT
    for at in range(0, blocks * UNIT, UNIT):
        block = package.body[at : at + UNIT]
        assert board.request("update_block", at, zlib.crc32(block), rest=block) == at + UNIT
    board.restart()
    board.greet()
    assert update_status(board).slots[0].received == 16 * UNIT  # noted on the way
    assert update_status(board).running == "factory"
    seen = []
    assert send_update(board, package, progress=lambda done, total: seen.append(done)).running == "a"
    assert seen[0] == 16 * UNIT
    board.close()


def test_a_model_that_does_not_prove_itself_is_left_again(field):
    leaves_what_does_not_prove_itself(field, "three")


def test_storage_that_changed_what_it_holds_is_found(field):
    leaves_what_the_storage_changed(field, "eight")


def test_a_blob_that_its_own_checks_refuse_is_left_again(field):
    """Whole by its hash, and damaged before it was packed."""
    board = field.board("four")
    with pytest.raises(DeviceError, match="did not prove itself"):
        send_update(board, resealed(field.package(1), body={5000: 1, 5001: 2, 5002: 3}))
    board.need(field.models[0])
    board.close()


def test_damaged_blocks_are_refused_and_sent_again(field):
    package = field.package(1)
    board = field.board("five")
    board.request("update_begin", rest=package.head)
    with pytest.raises(DeviceError, match="the update is damaged"):
        board.request("update_block", 0, 1, rest=package.body[:UNIT])
    with pytest.raises(DeviceError, match="wrong size or order"):
        board.request("update_activate")
    assert send_update(board, package, restart=False).slots[0].state == "on trial"
    assert update_status(board).running == "factory"  # until it starts anew
    board.close()


def test_two_programs_do_not_write_one_folder(field):
    first, second = field.board("six"), field.board("six")
    with pytest.raises(DeviceError, match="cannot be written"):
        send_update(second, field.package(1))
    first.close()
    second.close()


def test_another_configuration_needs_new_firmware(field, tmp_path):
    other = random_model(TINY.model_copy(update={"d_ffn": 2 * TINY.d_ffn}), seed=1)
    with pytest.raises(ConfigError, match=f"d_ffn is {2 * TINY.d_ffn}, not {TINY.d_ffn}"):
        pack_update(other, field.folder / "p", tmp_path / "x")
    write_project(other, "host", tmp_path / "p", kernels="portable", updates=True)
    package = pack_update(other, tmp_path / "p", tmp_path / "x")
    board = field.board("seven")
    with pytest.raises(ConfigError, match="its model has .* bytes, not"):
        send_update(board, package)
    with pytest.raises(DeviceError, match="needs new firmware"):
        board.request("update_begin", rest=package.head)
    board.close()


def test_packages_are_checked_and_projects_must_ask(field, tmp_path):
    data = field.package(1).data
    for bad in (b"", b"no", data[:-1], data[:700] + bytes([data[700] ^ 1]) + data[701:]):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(DataError, match="not an update|damaged"):
            load_update(tmp_path / "bad")
    manifest = json.loads((field.folder / "p" / "manifest.json").read_text())
    assert manifest["update"]["layout"] == load_update(field.folder / "1.update").layout
    write_project(field.models[0], "host", tmp_path / "p", kernels="portable")
    assert not list((tmp_path / "p" / "src").glob("*update*"))
    with pytest.raises(ConfigError, match="takes no updates"):
        pack_update(field.models[1], tmp_path / "p", tmp_path / "x")
    with pytest.raises(ConfigError, match="cannot take updates"):
        write_project(field.models[0], "pico", tmp_path / "q", updates=True)


def test_a_store_of_another_model_is_named_and_left_alone(tmp_path):
    """The new model runs without it, and the old one has it when it is back."""
    field = Field(tmp_path, memory="sd")
    before = field.store.read_bytes()
    board = field.board("one")
    assert send_update(board, field.package(1)).running == "a"
    board.need(field.models[1])
    board.tokens([1, 2, 3])
    with pytest.raises(DeviceError):
        board.read_memory()
    board.close()
    options = ["--store", str(field.store), "--updates", str(tmp_path / "one"), "--ids"]
    done = subprocess.run([*field.program.command, "generate", *options], capture_output=True, text=True)
    assert done.returncode == 0 and "going on without the memory" in done.stderr
    assert str(field.store) in done.stderr and "model" in done.stderr
    assert field.store.read_bytes() == before
