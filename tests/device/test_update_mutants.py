# SPDX-License-Identifier: Apache-2.0
"""Updates without one of their checks: each must make a test fail, or nothing says that it is there."""

import subprocess

import pytest
from update_support import (
    SOURCES,
    UPDATE,
    Field,
    driver,
    leaves_what_does_not_prove_itself,
    leaves_what_the_storage_changed,
)

from bitmar_tiny.errors import DeviceError

#: What is left out -> what of bm_update.c is replaced, by what.
MUTANTS = {
    "record: its CRC": [("if (bm_get_u32(p + CRC_AT) != bm_crc32(0, p, CRC_AT)) return 0;", "")],
    "record: its kind": [('memcmp(p, "BMUR", 4) != 0 || ', "")],
    "record: its version": [(" || bm_get_u32(p + 4) != FORMAT", "")],
    "record: its place": [("return *sequence % 2u == place;", "return 1;")],
    "record: the newest": [("(int32_t)(s[1] - s[0]) > 0", "(int32_t)(s[1] - s[0]) < 0")],
    "record: numbers that begin anew": [("(int32_t)(s[1] - s[0]) > 0", "s[1] > s[0]")],
    "record: two places": [
        ("(u->sequence + 1u) % 2u * BM_UPDATE_UNIT", "0u"),
        ("return *sequence % 2u == place;", "return 1;"),
    ],
    "record: what could not be written does not hold": [("    reload(u);\n    return -1;", "    return -1;")],
    "head: its kind": [('memcmp(head, "BMUP", 4) != 0 ||', "")],
    "head: its CRC": [("bm_get_u32(head + BM_UPDATE_CRC_AT) != bm_crc32(0, head, BM_UPDATE_CRC_AT)", "0")],
    "head: its version": [("bm_get_u32(head + BM_UPDATE_VERSION_AT) != 1u ||", "")],
    "head: its build": [("memcmp(head + BM_UPDATE_BUILD_AT, u->build, 32) != 0 ||", "")],
    "head: the whole build": [("u->build, 32)", "u->build, 28)")],
    "head: bytes of the blob": [("bm_get_u32(head + BM_UPDATE_BLOB_AT) != u->blob_bytes", "0")],
    "head: room for the proof": [("proof > u->device.slot_bytes ||", "")],
    "head: room for the blob": [("blob_room(head) > u->device.slot_bytes ||", "")],
    "head: room for both": [("all_of(head) > u->device.slot_bytes)", "0)")],
    "signature": [("return is_signed(u, head) ? 0 : BM_RESULT_UNSIGNED;", "return 0;")],
    "signature: that there is one": [("n == 0 || ", "")],
    "signature: its length": [(" || n > BM_UPDATE_SIGNATURE_ROOM", "")],
    "signature: a check that failed": [
        ("BM_UPDATE_SIGNATURE_AT + 4u, n) == 1;", "BM_UPDATE_SIGNATURE_AT + 4u, n);")
    ],
    "signature: of the whole head": [
        ("bm_sha256_add(&sha, head, BM_UPDATE_SIGNATURE_AT);", "bm_sha256_add(&sha, head, 112u);")
    ],
    "start: what is good or on trial": [
        ("if (s->state != BM_SLOT_GOOD && (s->state != BM_SLOT_TRIAL || !u->device.write)) continue;", "")
    ],
    "start: no trial where nothing can be written": [
        ("s->state != BM_SLOT_TRIAL || !u->device.write", "s->state != BM_SLOT_TRIAL"),
        ("if (trial && (!u->device.write || s->state != BM_SLOT_TRIAL)) continue;", ""),
    ],
    "start: the head": [("if (check_head(u, s->head) != 0) continue;", "")],
    "start: the newest": [("(int32_t)(s->order - u->slot[best - 1u].order) > 0", "0")],
    "start: the end of tries": [
        ("if (s->tries >= BM_UPDATE_TRIES) s->state = BM_SLOT_FAILED;\n    else ", "")
    ],
    "start: a try is counted": [("if (trial && count_try(u, s) != 0)", "if (0)")],
    "start: a try that could not be noted": [
        ("u->device.write = NULL; /* nothing new is tried without a note of it */", ";")
    ],
    "start: tries that came to their end": [
        ("(!u->device.write || s->state != BM_SLOT_TRIAL)", "!u->device.write")
    ],
    "start: no fault of the model": [("if (bad < 0) return u->running = BM_UPDATE_FACTORY;", "")],
    "start: the proof": [("s->state = bad ? BM_SLOT_FAILED : BM_SLOT_GOOD;", "s->state = BM_SLOT_GOOD;")],
    "start: falling back": [("if (!bad) return area; /*", "return area; /*")],
    "start: an end without a note": [
        ("if (noted != 0) s->state = BM_SLOT_FAILED; /* for this start */", "(void)noted;")
    ],
    "start: a good one is noted": [("const int noted = note(u);", "const int noted = 0;")],
    "begin: its length": [("if (n != BM_UPDATE_HEAD) return BM_RESULT_MALFORMED;", "(void)n;")],
    "begin: the head": [("    if (bad) return bad;\n", "    (void)bad;\n")],
    "begin: no storage": [
        ("if (bad) return bad;\n    if (!u->device.write) return BM_RESULT_UNABLE;", "if (bad) return bad;")
    ],
    "begin: the same package goes on": [("memcmp(s->head, head, BM_UPDATE_HEAD) == 0 && ", "")],
    "begin: a failed one begins anew": [("s->state <= BM_SLOT_TRIAL) {", "s->state <= BM_SLOT_FAILED) {")],
    "begin: it is noted": [
        (
            "memcpy(s->head, head, BM_UPDATE_HEAD);\n    return note(u) == 0 ? 0 : BM_RESULT_STORAGE;",
            "memcpy(s->head, head, BM_UPDATE_HEAD);\n    return 0;",
        )
    ],
    "requests: the slot that runs": [
        (
            "{ return u->running == BM_UPDATE_A ? BM_UPDATE_B : BM_UPDATE_A; }",
            "{ (void)u; return BM_UPDATE_A; }",
        ),
        ("&u->slot[u->running == BM_UPDATE_A ? 1 : 0]", "&u->slot[0]"),
    ],
    "block: its order": [
        ("if (s->state != BM_SLOT_RECEIVING || n != BM_UPDATE_UNIT)", "if (n != BM_UPDATE_UNIT)")
    ],
    "block: its length": [
        ("s->state != BM_SLOT_RECEIVING || n != BM_UPDATE_UNIT", "s->state != BM_SLOT_RECEIVING")
    ],
    "block: no storage": [
        ("    if (!u->device.write) return BM_RESULT_UNABLE;\n    if (bm_crc32", "    if (bm_crc32")
    ],
    "block: its CRC": [("if (bm_crc32(0, data, n) != crc) return BM_RESULT_DAMAGED;", "(void)crc;")],
    "block: its place": [("offset != s->received || ", "")],
    "block: the end of the slot": [(" || offset >= all_of(s->head)", "")],
    "block: a write that failed": [
        (
            "if (u->device.write(u->device.context, target_area(u), offset, data) != 0) return",
            "if (u->device.write(u->device.context, target_area(u), offset, data) == 2) return",
        )
    ],
    "block: it is noted": [("s->received / BM_UPDATE_UNIT % BM_UPDATE_NOTED == 0 && note(u) != 0", "0")],
    "hash: a read that failed": [
        (
            "if (u->device.read(u->device.context, area, at, u->unit, BM_UPDATE_UNIT) != 0) return 0;",
            "u->device.read(u->device.context, area, at, u->unit, BM_UPDATE_UNIT);",
        )
    ],
    "hash": [("return memcmp(digest, head + BM_UPDATE_HASH_AT, sizeof digest) == 0;", "return 1;")],
    "hash: the filling": [("all = all_of(head); at < all", "all = all_of(head) - BM_UPDATE_UNIT; at < all")],
    "finish: its order": [
        ("s->state != BM_SLOT_RECEIVING || s->received != all_of(s->head)", "s->received != all_of(s->head)")
    ],
    "finish: all bytes": [
        ("s->state != BM_SLOT_RECEIVING || s->received != all_of(s->head)", "s->state != BM_SLOT_RECEIVING")
    ],
    "finish: the hash": [("if (!bm_update_whole(u, target_area(u))) {", "if (0) {")],
    "finish: all comes again": [("s->received = *value = 0; /* all of it comes again */", "")],
    "finish: it is noted": [
        (
            "s->state = BM_SLOT_COMPLETE;\n    return note(u) == 0 ? 0 : BM_RESULT_STORAGE;",
            "s->state = BM_SLOT_COMPLETE;\n    return 0;",
        )
    ],
    "activate: its order": [("if (s->state != BM_SLOT_COMPLETE) return BM_RESULT_MALFORMED;", "")],
    "activate: the newest": [("s->order = u->sequence + 1u;", "s->order = 1u;")],
    "activate: it is noted": [
        (
            "s->order = u->sequence + 1u;\n    return note(u) == 0 ? 0 : BM_RESULT_STORAGE;",
            "s->order = u->sequence + 1u;\n    return 0;",
        )
    ],
}
#: The same of the other sources, each with what must find it: all run in a program that is updated over the
#: link.
IN_A_PROGRAM = {
    "proof: its length": ("bm_update_proof.c", "n < 16u || ", "", leaves_what_does_not_prove_itself),
    "proof: its kind": (
        "bm_update_proof.c",
        'n < 16u || memcmp(proof, "BMPV", 4) != 0',
        "n < 16u",
        leaves_what_does_not_prove_itself,
    ),
    "proof: that it has steps": (
        "bm_update_proof.c",
        "steps == 0 || ",
        "",
        leaves_what_does_not_prove_itself,
    ),
    "proof: all steps": (
        "bm_update_proof.c",
        " || steps > (n - 8u) / 8u",
        "",
        leaves_what_does_not_prove_itself,
    ),
    "proof: a step that fails": (
        "bm_update_proof.c",
        "if (bm_step(s, bm_get_u32(step)) != BM_OK) return 0;",
        "(void)bm_step(s, bm_get_u32(step));",
        leaves_what_does_not_prove_itself,
    ),
    "proof: its logits": (
        "bm_update_proof.c",
        "if (crc != bm_get_u32(step + 4)) return 0;",
        "",
        leaves_what_does_not_prove_itself,
    ),
    "proof: the last logits": (
        "bm_update_proof.c",
        "crc != bm_get_u32(step + 4)",
        "i + 1u < steps && crc != bm_get_u32(step + 4)",
        leaves_what_does_not_prove_itself,
    ),
    "proof: that it is run": (
        "linux_update.c",
        "!bm_update_prove(model, at + room, n)",
        "0",
        leaves_what_does_not_prove_itself,
    ),
    "file: its length": (
        "linux_update.c",
        " && (uint64_t)what.st_size >= bytes",
        "",
        leaves_what_the_storage_changed,
    ),
    "file: its hash": (
        "linux_update.c",
        " || (proof && !bm_update_whole(&update, area))",
        "",
        leaves_what_the_storage_changed,
    ),
    "file: a blob that is damaged later": (
        "linux_update.c",
        " || status == BM_ERR_BLOB ||",
        " ||",
        leaves_what_the_storage_changed,
    ),
}
#: Programs that must find it, one of them at least.
RUNS = (
    ("update_checks",),
    ("update_driver", "cuts", "10", "1"),
    ("update_driver", "messages", "4000", "2"),
    ("update_driver", "signed", "4000", "2"),
)


def found(folder, sources):
    """The first program that fails."""
    for name, *arguments in RUNS:
        command = driver(folder, "-O1", "-Wno-unused", "-Wno-error", name=name, sources=sources)
        if subprocess.run([*command, *arguments], capture_output=True, timeout=60).returncode:
            return name
    return None


def test_nothing_is_found_in_what_is_whole(tmp_path):
    assert found(tmp_path, SOURCES) is None


@pytest.mark.parametrize("what", MUTANTS)
def test_a_check_that_is_left_out_is_found(what, tmp_path):
    text = (UPDATE / "bm_update.c").read_text()
    for old, new in MUTANTS[what]:
        assert text.count(old) == 1, f"bm_update.c no longer holds {old!r} once"
        text = text.replace(old, new)
    (tmp_path / "bm_update.c").write_text(text)
    assert found(tmp_path, (tmp_path / "bm_update.c", *SOURCES[1:])), "no test sees it"


@pytest.mark.parametrize("what", IN_A_PROGRAM)
def test_a_check_that_a_program_leaves_out_is_found(what, tmp_path):
    name, old, new, scenario = IN_A_PROGRAM[what]
    field = Field(tmp_path, patches=[(name, old, new)])
    with pytest.raises((AssertionError, DeviceError, pytest.fail.Exception)):
        scenario(field, "board")
