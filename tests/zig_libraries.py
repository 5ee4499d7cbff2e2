# SPDX-License-Identifier: Apache-2.0
"""zig makes the C library of a target when it links for it the first time, in a minute on one core.

``make test`` has this done beside the first tests, so that none has to wait for all of it.
"""

import subprocess
import tempfile
from importlib import util
from pathlib import Path

from bitmar_tiny.codegen.boards import board_files, load_board


def main() -> None:
    boards = map(load_board, board_files())
    hosted = [board for board in boards if "-nostdlib" not in board.platform.link_flags(board)]
    compilers = [c for board in hosted for c in board.compilers.values()]
    zig = sorted({tuple(c.argv) for c in compilers if "ziglang" in c.command})
    if not util.find_spec("ziglang"):
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.c"
        source.write_text("int main(void) { return 0; }\n")
        running = [
            subprocess.Popen([*command, "-O2", str(source), "-o", f"{folder}/{i}"])
            for i, command in enumerate(zig)
        ]
        for process in running:
            process.wait()


if __name__ == "__main__":
    main()
