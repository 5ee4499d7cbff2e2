# SPDX-License-Identifier: Apache-2.0
"""Mutated files for the reader of everything that a user hands in.

    python tests/fuzz_readers.py --files 20000          # all kinds in turn
    python tests/fuzz_readers.py --only 1234            # one file again, by its number
    python tests/fuzz_readers.py --kinds pictures,text --seed 7

A reader gives an answer or refuses in one sentence (exit code 0, 1 or 2 on the command line): no other
exception, no warning, within ``SECONDS`` of processor time and ``BYTES`` of address space beyond what the
libraries take. File N is the same for the same seed.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import numpy as np
from fuzz_mutations import mutate
from fuzz_things import kinds_of_things

from bitmar_tiny.errors import BitmarError
from bitmar_tiny.extras import installed

SECONDS, BYTES = 5.0, 1 << 30
#: The parent gives up on a file after so long, where even a signal does not end its reader.
HANGS = 120.0
#: What the kinds onnx and tflite need.
NEEDED = ("onnx", "onnxruntime", "ai_edge_litert", "flatbuffers")


@dataclass(frozen=True)
class Kind:
    """One kind of file. seeds: name -> content of whole files; read: the reader, of a path. Other files that
    it needs lie in the same folder.
    """

    seeds: dict[str, bytes]
    read: Callable[[Path], Any]


def all_kinds(folder: Path) -> dict[str, Kind]:
    """Every kind of file that somebody hands in, with whole files of it. What they need is written to
    ``folder``; kinds whose packages are missing are left out.
    """
    kinds = {
        "captions": _captions(),
        "text": _text(folder),
        "sessions": _sessions(),
        "prompts": _prompts(),
        "settings": _settings(),
        "rows": _rows(),
        "pictures": _pictures(),
        "album": _album(folder),
        "features": _features(),
        "frozen": _frozen(folder),
        "stores": _stores(folder),
        "snapshots": _snapshots(folder),
        "boards": _boards(),
        "profiles": _profiles(),
        "recordings": _recordings(),
        "declarations": _declarations(),
        "projects": _projects(folder),
        "power logs": _power_logs(),
    }
    kinds |= {name: Kind(*seeds) for name, seeds in kinds_of_things(folder).items()}
    return kinds | (_exchange(folder) if all(map(installed, NEEDED)) else {})


def _captions() -> Kind:
    from data.test_captions import FILES

    from bitmar_tiny.data.captions import read_captions

    seeds = {f"{i}.json": content.encode() for i, (content, *_) in enumerate(FILES.values())}
    return Kind(seeds | {"g.json": gzip.compress(b'["a cat", "a dog"]')}, read_captions)


def _text(folder: Path) -> Kind:
    from bitmar_tiny.data.lines import read_lines
    from bitmar_tiny.data.shards import build_tokens
    from bitmar_tiny.data.tokenizer import EOS_TEXT, Tokenizer

    tokenizer = Tokenizer([*(bytes([b]) for b in range(256)), EOS_TEXT], [])
    text = "".join(f"line {i} of the wörds\n" for i in range(60)).encode()
    seeds = {"t.txt": text, "t.train": b"\xef\xbb\xbf" + text, "t.txt.gz": gzip.compress(text)}
    try:
        import zstandard

        seeds["t.txt.zst"] = zstandard.ZstdCompressor(write_checksum=True).compress(text)
    except ImportError:
        pass

    def read(path: Path) -> Any:
        for _ in read_lines(path):
            pass
        build_tokens(tokenizer, [path], folder / "tokens", workers=1)

    return Kind(seeds, read)


def _sessions() -> Kind:
    from bitmar_tiny.data.sessions import read_sessions

    lines = [["The key is here.", ["The key is", " here."]], ["a", "b", ["c", "d"]]]
    return Kind({"s.jsonl": "\n".join(map(json.dumps, lines)).encode()}, read_sessions)


def _prompts() -> Kind:
    from bitmar_tiny.run.generate import Request
    from bitmar_tiny.run.prompts import read_prompt

    def read(path: Path) -> Any:
        return [Request(read_prompt(line)[0]) for line in path.read_bytes().splitlines()]

    lines = ["the cat", json.dumps({"prompt": "a cät", "image": "cat.png"}), ""]
    return Kind({"prompts.jsonl": "\n".join(lines).encode()}, read)


def _settings() -> Kind:
    from bitmar_tiny.arch.config import ModelConfig, preset
    from bitmar_tiny.train.config import TrainConfig

    def read(path: Path) -> Any:
        return (TrainConfig if path.name.startswith("t") else ModelConfig).load(path)

    training = TrainConfig.for_preset("demo").model_dump_json()
    return Kind({"m.json": preset("demo").model_dump_json().encode(), "t.json": training.encode()}, read)


def _rows() -> Kind:
    from bitmar_tiny.evaluate.rows import read_rows

    rows = [{"goal": "to eat", "sol1": "a spoon", "sol2": "a key", "label": i} for i in range(4)]
    table = "goal,sol1,label\n" + "".join(f'"to eat, well",{i},0\n' for i in range(4))
    seeds = {
        "r.jsonl": "\n".join(map(json.dumps, rows)).encode(),
        "r.json": json.dumps(rows).encode(),
        "r.csv": table.encode(),
    }
    return Kind(seeds, lambda path: list(read_rows(path)))


def _pictures() -> Kind:
    from PIL import Image

    from bitmar_tiny.data.pixels import load_pixels

    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (24, 33, 3), np.uint8))
    seeds = {
        "x.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="30" viewBox="0 0 20 30">'
        b'<defs><linearGradient id="g"><stop offset="0" stop-color="red"/></linearGradient></defs>'
        b'<g transform="scale(2)"><path d="M1 2L9 9z" fill="url(#g)"/><use href="#u"/></g>'
        b'<text id="u" x="3" y="9">a</text></svg>'
    }
    for mode in ("RGB", "P", "RGBA", "L", "1", "LA"):
        seeds[f"{mode}.png"] = _saved(colours.convert(mode), "PNG")
    seeds["16.png"] = _saved(Image.fromarray(rng.integers(0, 65536, (9, 9)).astype(np.uint16)), "PNG")
    seeds |= {
        f"x.{f.lower()}": _saved(colours, f) for f in ("JPEG", "GIF", "BMP", "WEBP", "PPM", "TGA", "ICO")
    }
    for mode, how in (("RGB", "tiff_lzw"), ("CMYK", "raw"), ("1", "group4"), ("L", "tiff_adobe_deflate")):
        seeds[f"{how}.tiff"] = _saved(colours.convert(mode), "TIFF", compression=how)
    for extra in ("JPEG2000", "AVIF"):
        try:
            seeds[f"x.{extra.lower()}"] = _saved(colours, extra)
        except (OSError, KeyError, ValueError):
            continue  # this Pillow has no such format
    return Kind(seeds, lambda path: load_pixels(path, 64))


def _saved(picture: Any, name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, name, **options)
    return stream.getvalue()


def _album(folder: Path) -> Kind:
    from PIL import Image

    from bitmar_tiny.data.pictures import read_album

    (folder / "album").mkdir()
    for name in ("1.png", "2.png"):
        Image.new("RGB", (8, 8)).save(folder / "album" / name)

    def read(path: Path) -> Any:
        target = folder / "album" / path.name
        target.write_bytes(path.read_bytes())
        try:
            return read_album([target if path.suffix == ".txt" else folder / "album"])
        finally:
            target.unlink()

    lines = [{"file_name": f"{i}.png", "text": "a cat"} for i in (1, 2)]
    return Kind(
        {
            "metadata.jsonl": "\n".join(map(json.dumps, lines)).encode(),
            "metadata.csv": b"file_name,text\n1.png,a cat\n2.png,a dog\n",
            "list.txt": b"1.png\n2.png\n",
        },
        read,
    )


def _features() -> Kind:
    from bitmar_tiny.data.corpus import open_features
    from bitmar_tiny.data.pixels import read_picture

    def read(path: Path) -> Any:
        return read_picture(path, 4) if path.name.startswith("one") else open_features(path)

    def npy(array: np.ndarray) -> bytes:
        stream = io.BytesIO()
        np.save(stream, array)
        return stream.getvalue()

    return Kind(
        {
            "f.npy": npy(np.ones((3, 4, 768), np.float16)),
            "two.npy": npy(np.ones((3, 768), np.uint8)),
            "one.npy": npy(np.ones((4, 768), np.float32)),
        },
        read,
    )


def _frozen(folder: Path) -> Kind:
    from support import TINY

    from bitmar_tiny.frozen import FrozenModel, random_model

    random_model(TINY, seed=1).save(folder / "m.bitmar")
    return Kind({"m.bitmar": (folder / "m.bitmar").read_bytes()}, FrozenModel.load)


def _stores(folder: Path) -> Kind:
    from support import TINY

    from bitmar_tiny.frozen import random_model
    from bitmar_tiny.memory.inspect import memory_of
    from bitmar_tiny.memory.store import MemoryStore

    model = random_model(TINY, seed=1)
    MemoryStore.create(folder / "m.store", memory_of(model), model.digest)
    return Kind({"m.store": (folder / "m.store").read_bytes()}, lambda path: MemoryStore.open(path).read())


def _snapshots(folder: Path) -> Kind:
    from bitmar_tiny.memory.snapshot import read_snapshot, write_snapshot
    from bitmar_tiny.memory.store import MemoryStore

    store = MemoryStore.open(folder / "m.store")
    write_snapshot(folder / "m.snapshot", store.read(), store.digest, 1)
    return Kind({"m.snapshot": (folder / "m.snapshot").read_bytes()}, read_snapshot)


def _boards() -> Kind:
    from bitmar_tiny.codegen.boards import board_files, load_board

    files = board_files()
    names = ("rpi-zero2", "esp32-s3-n16r8", "mps3-an547")
    return Kind({f"{n}.toml": files[n].read_bytes() for n in names}, lambda path: load_board(str(path)))


def _profiles() -> Kind:
    from report.recordings import make

    from bitmar_tiny.profile.recording import Recording

    return Kind({"p.json": make(6, 2).to_json().encode()}, Recording.load)


def _recordings() -> Kind:
    import base64

    from bitmar_tiny.device.protocol import BY_NAME
    from bitmar_tiny.device.record import SCHEMA, SCHEMA_VERSION, ReplayChannel

    ask = base64.b64encode(b"hello").decode()
    lines = [
        {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "port": "host:", "when": "2026-01-01T00:00:00"},
        {"request": ask},
        {"answer": BY_NAME["identity"].number, "payload": ask},
        {"restart": None},
        {"pulse": "nothing"},
    ]

    def read(path: Path) -> Any:
        channel = ReplayChannel(path)
        list(channel.exchange(b"hello"))
        channel.restart(b"")
        channel.pulse("dtr")

    return Kind({"r.jsonl": "\n".join(map(json.dumps, lines)).encode()}, read)


def _declarations() -> Kind:
    from bitmar_tiny.data.frontend.declaration import Declaration
    from bitmar_tiny.data.frontend.vectors import FrontEndError

    whole = Declaration("b.onnx", "ab" * 32, 56, (0.5,) * 3, (0.5,) * 3, ("y",), True, 16, False)

    def read(path: Path) -> Any:
        try:
            return Declaration.read(path)
        except FrontEndError as error:  # the board's program says it, too
            raise BitmarError(error.message, error.hint) from None

    return Kind({"backbone.json": json.dumps(whole.to_json()).encode()}, read)


def _projects(folder: Path) -> Kind:
    from support import TINY

    from bitmar_tiny.codegen.boards import load_board
    from bitmar_tiny.codegen.emit import emit
    from bitmar_tiny.device.pieces import MODEL, collect
    from bitmar_tiny.frozen import random_model

    board = load_board("esp32-s3-n16r8")
    project = emit(random_model(TINY, seed=1), board, folder / "project", "portable").path
    whole = {name: (project / name).read_bytes() for name in ("manifest.json", "model.blob")}

    def read(path: Path) -> Any:
        (project / path.name).write_bytes(path.read_bytes())
        try:
            return collect(project, board, (MODEL,))
        finally:
            (project / path.name).write_bytes(whole[path.name])

    return Kind(whole, read)


def _power_logs() -> Kind:
    from bitmar_tiny.profile.power_log import read_log

    log = b"time_s,current_a,voltage_v,marker\n0,1,5,0\n0.1,1.5,5,1\n0.2,1,5,0\n"
    return Kind({"power.csv": log}, read_log)


def _exchange(folder: Path) -> dict[str, Kind]:
    """Exported models, and ONNX weights of other programs."""
    from exchange.exchange_support import exported
    from exchange.test_from_onnx import foreign
    from support import TINY

    from bitmar_tiny.exchange.files import open_runtime
    from bitmar_tiny.exchange.from_onnx import import_onnx
    from bitmar_tiny.frozen import random_model

    model = random_model(TINY, seed=1)
    ours = exported(model, folder, "onnx")
    tflite = exported(model, folder, "tflite").read_bytes()

    def read_onnx(path: Path) -> Any:
        if path.name == "foreign.onnx":
            return import_onnx(path, TINY)
        target = ours / path.name
        whole = target.read_bytes()
        target.write_bytes(path.read_bytes())
        try:
            return import_onnx(ours)
        finally:
            target.write_bytes(whole)

    seeds = {"foreign.onnx": foreign(model).SerializeToString()}
    seeds |= {p.name: p.read_bytes() for p in ours.iterdir() if p.suffix == ".onnx"}
    return {
        "onnx": Kind(seeds, read_onnx),
        "tflite": Kind({"m.tflite": tflite}, lambda path: open_runtime("tflite", path)),
    }


def make_file(kinds: dict[str, Kind], number: int, seed: int) -> tuple[str, str, bytes]:
    """(kind, name, content) of file ``number``."""
    rng = random.Random(f"{seed}/{number}")
    kind = sorted(kinds)[number % len(kinds)]
    name = rng.choice(sorted(kinds[kind].seeds))
    return kind, name, mutate(kinds[kind].seeds[name], rng)


def outcome(kind: Kind, path: Path) -> tuple[int, str]:
    """(exit code, what was said) of reading a file; ``AssertionError`` where a user would see more than a
    sentence.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            kind.read(path)
        except BitmarError as refused:
            said = str(refused)
            assert "\n" not in said and len(said) < 2100, f"not one sentence: {said[:3000]}"
            assert "object at 0x" not in said and "Traceback" not in said, said
            said.encode()  # can be printed
            return refused.exit_code, said
    return 0, ""


def _child(kinds: dict[str, Kind], numbers: range, seed: int, folder: Path, out: Any) -> None:
    """Read files and tell of each as a line of JSON, first that it begins."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, size + BYTES))

    def late(*_: Any) -> None:
        raise TimeoutError(f"took more than {SECONDS:.0f} s")

    signal.signal(signal.SIGPROF, late)
    for number in numbers:
        kind, name, content = make_file(kinds, number, seed)
        path = folder / "work" / name
        path.write_bytes(content)
        print(json.dumps({"number": number, "kind": kind, "name": name}), file=out, flush=True)
        began, said, code, fault = time.process_time(), "", 0, ""
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            code, said = outcome(kinds[kind], path)
            if code not in (1, 2) and said:
                fault = f"exit code {code}: {said}"
        except BaseException:
            fault = traceback.format_exc(limit=-4)
        signal.setitimer(signal.ITIMER_PROF, 0)
        took = time.process_time() - began
        path.unlink(missing_ok=True)
        print(json.dumps({"code": code, "took": took, "fault": fault}), file=out, flush=True)


def run(kinds: dict[str, Kind], numbers: range, seed: int, folder: Path, tell: Callable[[str], None]) -> bool:
    """Read mutated files in child processes; whether nothing was wrong."""
    codes: collections.Counter[tuple[str, int]] = collections.Counter()
    faults, slowest, next_number = 0, (0.0, ""), numbers.start
    (folder / "work").mkdir(exist_ok=True)
    while next_number < numbers.stop:
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            os.close(ours)
            code = 1
            try:
                with open(theirs, "w") as out, open(os.devnull, "w") as nowhere:
                    os.dup2(nowhere.fileno(), 2)  # what C libraries print
                    _child(kinds, range(next_number, numbers.stop), seed, folder, out)
                code = 0
            finally:
                os._exit(code)  # and nothing of the parent's is cleared away
        os.close(theirs)
        about: dict[str, Any] = {}
        with open(ours) as lines:
            for line in _in_time(lines, child):
                told = json.loads(line)
                if "number" in told:
                    about = told
                    continue
                label = f"{about['kind']} {about['name']}, file {about['number']}"
                codes[about["kind"], told["code"]] += 1
                slowest = max(slowest, (told["took"], label))
                next_number = about["number"] + 1
                if told["fault"]:
                    faults += 1
                    tell(f"FAULT in {label}:\n{told['fault']}")
        status = os.waitpid(child, 0)[1]
        if next_number < numbers.stop:
            faults += 1
            tell(f"FAULT: file {about.get('number')} ({about.get('name')}) ended its process ({status})")
            next_number = about.get("number", next_number) + 1
    for kind in sorted(kinds):
        tell(f"{kind:13} read {codes[kind, 0]:6}  refused {codes[kind, 2]:6}  exit 1 {codes[kind, 1]:3}")
    tell(f"{len(numbers)} files, {faults} faults, slowest {slowest[0]:.2f} s ({slowest[1]})")
    return not faults


def _in_time(lines: Any, child: int) -> Any:
    """The child's lines; a child that is silent for long is killed."""
    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    try:
        while True:
            signal.setitimer(signal.ITIMER_REAL, HANGS)
            line = lines.readline()
            if not line:
                return
            yield line
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--only", type=int, help="one file, by its number, with its traceback")
    parser.add_argument("--kinds", help="with commas between them (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = all_kinds(folder)
        if options.kinds:
            kinds = {kind: kinds[kind] for kind in options.kinds.split(",")}
        if options.only is not None:
            kind, file, content = make_file(kinds, options.only, options.seed)
            (folder / file).write_bytes(content)
            print(f"{kind} {file}, {len(content)} bytes: {content[:200]!r}")
            print(outcome(kinds[kind], folder / file))
            return 0
        numbers = range(options.first, options.first + options.files)
        return 0 if run(kinds, numbers, options.seed, folder, lambda words: print(words, flush=True)) else 1


if __name__ == "__main__":
    sys.exit(main())
