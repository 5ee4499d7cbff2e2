# SPDX-License-Identifier: Apache-2.0
"""Updates on an ESP32: its slots in the partition table, and its C on this computer, on a simulated flash
that loses its power.
"""

import re
import struct
import subprocess

import pytest
from espidf_support import settings
from firmware.build import BASE_FLAGS, HERE, SANITIZE
from support import TINY, need
from update_support import make_key, need_openssl, resealed

from bitmar_tiny.api.update import pack_update
from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen import signature
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.update import UNIT, filled
from bitmar_tiny.errors import FitError
from bitmar_tiny.frozen import random_model

BOARD = "esp32-s3-n16r8"


def signed(package, key):
    """The package with another signature, of the head as it is now."""
    made = signature.sign(key, package.head[:128])
    return resealed(package, head={128: struct.pack("<I", len(made)) + made.ljust(72, b"\0")})


def compile(project, source, out):
    flags = [*(f for f in BASE_FLAGS if f != "-Wconversion"), "-O1", *SANITIZE, "-Werror"]
    folders = [f"-I{project.sources}", f"-I{project.path / 'main'}", "-isystem", str(HERE / "idf_headers")]
    run(["gcc", *flags, "-DBM_UPDATE_NOTED=4u", *settings(project), *folders, "-c", source, "-o", out])
    return out


def run(command, **options):
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=600, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


class Chip:
    """A project's C on this computer, with packages for it."""

    def __init__(self, folder):
        self.folder = folder
        self.key, public = make_key(folder, "owner")
        self.models = [random_model(TINY, seed=i) for i in range(4)]
        board, options = load_board(BOARD), {"updates": True, "public_key": public}
        self.project = emit(self.models[0], board, folder / "p", "portable", **options)
        self.source = self.project.path / "main" / "espidf_update.c"
        others = [
            *sorted(self.project.sources.glob("*.c")),
            self.source.with_name("espidf_signature.c"),
            HERE / "espidf_flash.c",
        ]
        self.objects = [compile(self.project, s, folder / f"{s.stem}.o") for s in others]
        self.arguments = []
        for what, package in self.packages():
            path = folder / f"{len(self.arguments)}.package"
            path.write_bytes(package.data)
            self.arguments.append(f"{what}={path}")

    def packages(self):
        """A good update, one with a wrong proof, one that hangs, one whose flash changes
        afterwards; each signed, the last one not.
        """
        project = self.project.path
        ours = [pack_update(m, project, self.folder / "x.update", self.key) for m in self.models]
        self.units = len(ours[1].body) // UNIT
        at = filled(ours[2].blob_bytes) + 12
        wrong = signed(resealed(ours[2], body={at: ours[2].body[at] ^ 1}), self.key)
        yield from (("good", ours[1]), ("bad", wrong), ("good", ours[2]), ("crash", ours[3]))
        yield from (("rotten", ours[3]), ("good", ours[3]), ("forged", resealed(ours[1], head={48: b"\1"})))

    def build(self, source):
        """The program, with this in the place of espidf_update.c."""
        changed = compile(self.project, source, self.folder / "espidf_update.o")
        program = self.folder / "program"
        run(["gcc", *SANITIZE, *self.objects, changed, "-o", program, "-lcrypto", "-lm"])
        return program

    def run(self, program):
        """Cuts, starts, crashes; ``AssertionError`` at a bad state."""
        said = run([program, self.project.path / "partitions.csv", 1, *self.arguments], cwd=self.project.path)
        return map(int, said.split())


@pytest.fixture(scope="module")
def chip(tmp_path_factory):
    need("host", "gcc")
    need_openssl()
    return Chip(tmp_path_factory.mktemp("flash"))


def test_a_power_cut_at_every_erasure_and_write_leaves_a_model_that_runs(chip):
    cuts, starts, crashes = chip.run(chip.build(chip.source))
    operations = 2 * chip.units
    assert cuts > 5 * operations and starts > 2 * cuts and crashes > operations


@pytest.mark.parametrize(
    "old, new",
    [
        ("if (proof && !bm_update_whole(&update, area)) return 1;", ""),
        ("!bm_update_prove(model, package + proof_at, proof_bytes)", "proof_at + proof_bytes == 0"),
        ("if (esp_partition_erase_range(areas[area], offset, BM_UPDATE_UNIT) != ESP_OK) return -1;", ""),
        ("if (proof) watch();", "(void)watch;"),
        ("if (proof) esp_task_wdt_delete(NULL);", ""),
        ("if (bad) esp_partition_munmap(handle);", ""),
        (".trigger_panic = true", ".trigger_panic = false"),
        ("a < b ? a : b, bm_update_signed}", "a < b ? a : b, NULL}"),
    ],
)
def test_what_is_left_out_of_its_c_is_found(chip, tmp_path, old, new):
    text = chip.source.read_text()
    assert text.count(old) == 1
    (tmp_path / "espidf_update.c").write_text(text.replace(old, new))
    program = chip.build(tmp_path / "espidf_update.c")
    with pytest.raises(AssertionError):
        chip.run(program)


def partitions(project):
    rows = re.findall(
        r"^(\w+), (\w+), (\w+), (0x\w+), (0x\w+),$", (project.path / "partitions.csv").read_text(), re.M
    )
    return {name: (kind, sub, int(at, 16), int(size, 16)) for name, kind, sub, at, size in rows}


def test_the_slots_lie_where_the_model_leaves_room(tmp_path):
    model = random_model(preset("demo"))
    plain = partitions(emit(model, load_board(BOARD), tmp_path / "plain", "pie"))
    project = emit(model, load_board(BOARD), tmp_path / "updates", "pie", updates=True)
    table = partitions(project)
    size = filled(project.blob.size)
    whole, offset = plain["model"][3], plain["model"][2]
    assert [table[name][1:] for name in ("model", "model_records", "model_a", "model_b")] == [
        ("0x00", offset, size),
        ("0x02", offset + size, 2 * UNIT),
        ("0x03", offset + size + 2 * UNIT, size + UNIT),
        ("0x04", offset + 2 * size + 3 * UNIT, size + UNIT),
    ]
    last = table["model_b"]
    assert last[2] + last[3] <= offset + whole
    assert {k: v for k, v in table.items() if not k.startswith("model")} == {
        k: v for k, v in plain.items() if k != "model"
    }


def test_a_model_with_too_little_room_for_two_more_is_refused(tmp_path):
    model = random_model(preset("paper"))
    with pytest.raises(FitError, match=r"Partition 'model' has 12,582,912 bytes; .* take 26,"):
        emit(model, load_board(BOARD), tmp_path / "p", "pie", updates=True)
    assert not (tmp_path / "p").exists()
