# SPDX-License-Identifier: Apache-2.0
"""What the tests take for compiled before is what the compiler would make again."""

from __future__ import annotations

import subprocess

import compilers
import pytest
from support import ODD, TINY, need

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.frozen import random_model

SOURCE = '#include <stdint.h>\n#include "b.h"\nint f(void) { return BM_ONE + LATER; }\n'
HEADER = "/* a comment */\n#define BM_TWO 2\n#define BM_ONE BM_TWO\n#define BM_FOUR 4\n#define LATER 3\n"


@pytest.fixture
def key(tmp_path):
    """Source, header and flags -> what an object is looked up by."""
    cache = compilers.Cache(tmp_path / "cache", compilers.Counts())

    def of(source=SOURCE, header=HEADER, *flags):
        (tmp_path / "a.c").write_text(source)
        (tmp_path / "b.h").write_text(header)
        command = ["gcc", *flags, "-c", str(tmp_path / "a.c"), "-o", str(tmp_path / "a.o")]
        return cache._look_at(command, capture_output=True)[0]

    return of


@pytest.mark.parametrize(
    "change",
    [
        ((SOURCE, HEADER.replace("a comment", "another\n one"))),
        ((SOURCE.replace("int f", "\n\n // here\nint f"), HEADER)),
        ((SOURCE, HEADER.replace("FOUR 4", "FOUR 5"))),
        ((SOURCE, HEADER + "#define BM_FIVE BM_SIX\n#define BM_SIX (BM_FIVE)\n")),
        ((SOURCE, HEADER, "-DBM_TAPS", "-DDRIVER_BOARD", "-Wl,--wrap=main")),
        ((SOURCE, HEADER, "-O3", "-O0", "-Werror")),
    ],
)
def test_what_cannot_matter_does_not_count(key, change):
    flags = ("-O0",) if "-O0" in change else ()
    assert key(*change) == key(SOURCE, HEADER, *flags)


@pytest.mark.parametrize(
    "change",
    [
        ((SOURCE, HEADER.replace("TWO 2", "TWO 3"))),
        ((SOURCE, HEADER.replace("LATER 3", "LATER 4"))),
        ((SOURCE, HEADER + "#define NOWHERE_HERE 1\n")),  # a compiler's own header may ask
        ((SOURCE + "#ifdef BM_FOUR\n#endif\n", HEADER)),
        ((SOURCE.replace("return", "return /*"), HEADER)),
        ((SOURCE + 'char *s = "/* no comment */";\n', HEADER)),
        ((SOURCE + "#define BM_PASTE(x) BM_##x\n", HEADER)),
        ((SOURCE, HEADER, "-O1")),
        ((SOURCE, HEADER, "-DBM_ONE=1")),
        ((SOURCE, HEADER, "-DNDEBUG")),
        ((SOURCE, HEADER, "-DLATER=BM_FOUR")),
    ],
)
def test_what_can_matter_counts(key, change):
    assert key(*change) != key()


def test_lines_count_where_they_are_compiled_in(key):
    lower = "\n" + SOURCE
    assert key(lower, HEADER, "-g") != key(SOURCE, HEADER, "-g")
    assert key(lower + "int l = __LINE__;\n") != key(SOURCE + "int l = __LINE__;\n")


def test_a_name_that_a_macro_makes_is_not_looked_up(key):
    with pytest.raises(compilers.Unfit):
        key('#define NAME "b.h"\n#include NAME\n')


def test_zig_optimises_or_not(tmp_path):
    """What it is asked for at -O1 and -O3 it does at -O2."""
    need("host", "zig")
    (tmp_path / "a.c").write_text("int f(int *p, int n) { int s = 0; while (n--) s += *p++ * 3; return s; }")
    made = {}
    for level in ("-O0", "-O1", "-O2", "-O3"):
        command = [*load_board("host").compilers["zig"].argv, level, "-c", "a.c", "-o", "a.o"]
        subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
        made[level] = (tmp_path / "a.o").read_bytes()
    assert made["-O1"] == made["-O2"] == made["-O3"] != made["-O0"]


def test_sources_of_one_key_are_the_same_to_the_compiler(tmp_path):
    """Two models' projects, with taps and without: whatever shares an object is the same text for the
    compiler, once it is preprocessed, and most of what is the same shares one.
    """
    need("host", "gcc")
    cache, read = compilers.Cache(tmp_path / "cache", compilers.Counts()), {}
    for model, taps in ((TINY, []), (ODD, ["-DBM_TAPS"])):
        project = emit(random_model(model), load_board("host"), tmp_path / model.name, "portable")
        for source in project.sources.glob("*.c"):
            flags = ["gcc", "-O2", *taps, f"-I{project.sources}", f"-I{project.path}", "-c", str(source)]
            found, _ = cache._look_at([*flags, "-o", str(tmp_path / "o")], capture_output=True)
            flags[flags.index("-c")] = "-E"
            text = subprocess.run([*flags, "-P"], capture_output=True, check=True, timeout=120).stdout
            read.setdefault(found, set()).add(text)
    assert all(len(texts) == 1 for texts in read.values())
    distinct = len({text for texts in read.values() for text in texts})
    assert 10 < distinct <= len(read) < 1.1 * distinct
