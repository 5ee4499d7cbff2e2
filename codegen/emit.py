"""Write a standalone C project for one frozen model and one board."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import jinja2
import numpy as np

from bitmar_tiny.errors import ConfigError
from bitmar_tiny.files import atomic_file
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.golden.model import forget_threshold
from bitmar_tiny.taps import tap_table

from . import lower as lowering
from .boards import Board
from .build import HOT_SOURCES
from .pack import HEAD_BITS
from .buffers import CANDIDATES, head_rows, kv_bytes, memory_bytes
from .estimate import Estimate, estimates
from .plan import Plan, make_plan
from .resources import resource_dir

MANIFEST = "manifest.json"
#: Platform files by operating system.
PLATFORM = {"linux": ("linux_*", "trace.*"), "xtensa": ("xtensa_*", "trace.*", "softfloat.c")}
#: Sections and taps of repeated layers, which get tables instead of a macro each.
PARTS = ("enc.", "fusion.", "dec.")


@dataclass(frozen=True)
class Project:
    """A generated project: its folder, board, kernel family, plan and packed blob."""

    path: Path
    board: Board
    family: str
    plan: Plan
    blob: lowering.Blob
    estimates: list[Estimate]


def emit(model: FrozenModel, board: Board, out: Path | str, family: str | None = None, head_bits: str = "2",
         memory: str = "auto") -> Project:
    """Lower, plan and write the project into ``out`` (created, or overwritten if it is a project of ours).

    ``head_bits``: bits of a weight of the vocabulary head, one of ``pack.HEAD_BITS``; the logits are the same bits.
    ``memory``: ``auto``, ``flash`` (read-only), ``sd`` (a store), or the name of a region that holds arenas.
    Raises ``FitError`` before anything is written if the board cannot hold the model.
    """
    family = family or board.kernels[0]
    if family not in board.kernels:
        raise ConfigError(f"Board {board.name} has no kernel family '{family}'.", f"It has: {', '.join(board.kernels)}.")
    if head_bits not in HEAD_BITS:
        raise ConfigError(f"There is no head of {head_bits} bits a weight.", f"Choose one of: {', '.join(HEAD_BITS)}.")
    arenas = [r.name for r in board.regions if "arena" in r.holds]
    if memory not in ("auto", "flash", "sd", *arenas):
        raise ConfigError(f"Board {board.name} has no place '{memory}' for the memory.", f"Choose one of: auto, flash, sd, {', '.join(arenas)}.")
    out = Path(out)
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise ConfigError(f"{out}: not empty and not a project of bitmar-tiny.", "Choose another folder with -o.")
    blob = lowering.lower(model, family, head_bits, memory if memory in lowering.MEMORY_TIERS[1:] else "ram")
    plan = make_plan(model.config, blob, board, memory if memory in arenas else None)
    guesses = estimates(model.config, blob, board, plan)
    context = _context(model, board, family, blob, plan)
    src = out / "src"
    if src.exists():
        shutil.rmtree(src)
    src.mkdir(parents=True)
    templates = resource_dir("firmware_templates")
    kernels = [templates / "kernels" / f"bm_kernels__{family}.c", *sorted((templates / "kernels").glob(f"bm_kernels__{family}*.S"))]
    kernels += [h for h in sorted((templates / "kernels").glob("*.h")) if f'"{h.name}"' in kernels[0].read_text()]
    for source in (*sorted((templates / "runtime").glob("bm_*.[ch]")), templates / "runtime" / "bitmar.h", *kernels,
                   *(f for pattern in PLATFORM[board.os] for f in sorted((templates / "platform").glob(pattern)))):
        shutil.copyfile(source, src / source.name)
    with atomic_file(out / "model.blob") as f:
        f.write(blob.to_bytes())
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(templates / "project"), keep_trailing_newline=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=False, autoescape=False)
    files = [("bm_config.h.j2", "src/bm_config.h"), ("bm_step.c.j2", "src/bm_step.c"), ("Makefile.j2", "Makefile"),
             ("README.md.j2", "README.md"), *([("CMakeLists.txt.j2", "CMakeLists.txt")] if board.os == "linux" else [])]
    for template, target in files:
        (out / target).write_text(environment.get_template(template).render(context))
    (out / "plan.json").write_text(json.dumps(plan.as_dict() | {"estimates": [e.as_dict() for e in guesses]}, indent=2) + "\n")
    (out / MANIFEST).write_text(json.dumps({
        "schema": "bitmar-tiny/project", "schema_version": 1, "version": context["version"], "board": board.name,
        "kernels": family, "head_bits": head_bits, "memory": blob.memory, "model": model.config.name, "model_sha256": model.digest,
        "tap_count": context["tap_count"],
    }, indent=2) + "\n")
    return Project(out, board, family, plan, blob, guesses)


def c_float(value: float) -> str:
    """A float32 constant as C text that reads back to the same bits."""
    return f"{float(np.float32(value))!r}f"


def _context(model: FrozenModel, board: Board, family: str, blob: lowering.Blob, plan: Plan) -> dict:
    cfg, taps = model.config, [t.name for t in tap_table(model.config)]
    tokenizer = next(s for s in blob.sections if s.name == "tokenizer")
    single = [t for t in taps if not t.startswith(PARTS)]
    return {
        "version": version(), "board": board, "cfg": cfg, "digest": model.digest, "family": family,
        "digest_bytes": bytes.fromhex(model.digest), "image_grid": math.isqrt(cfg.image_tokens), "c_float": c_float,
        "forget_threshold": forget_threshold(cfg), "eos": cfg.vocab_size - 1, "token_bits": lowering.token_bits(model), "head_rows": head_rows(cfg, board), "candidates_bytes": CANDIDATES,
        "blob_version": lowering.VERSION, "blob_layout": blob.layout, "blob_header": lowering.HEADER_BYTES, "blob_bytes": blob.size,
        "head_bits": blob.head_bits,
        "tokenizer_bytes": len(tokenizer.data),
        "section_macros": [(_macro(s.name), s.offset if s.name == "memory" else plan.place(s.name))
                           for s in blob.sections if not s.name.startswith(PARTS)],
        "arenas": plan.arenas, "plan": plan,
        "buffers": [(_macro(p.name), plan.place(p.name), p) for p in plan.of_kind("arena") if not p.name.startswith(("kv.", "image."))],
        "copies": [(blob.offset(p.name), plan.place(p.name), p) for p in plan.of_kind("copy")],
        "memory_tier": blob.memory, "kv_bytes": kv_bytes(cfg), "memory_bytes": memory_bytes(cfg),
        "tap_macros": [(_macro(t), taps.index(t)) for t in single], "tap_count": len(taps),
        "layers": list(_layers(model, plan, taps)), "fusion": list(_fusion(model, plan, taps)),
        "hot_sources": [f"bm_kernels__{family}", *HOT_SOURCES],
        "family_flags": " ".join(board.family_flags(family, next(iter(board.compilers.values())))), "make_arguments": _make_arguments(board), "make_link": _make_link(board),
    }


def _fusion(model: FrozenModel, plan: Plan, taps: list[str]):
    for i in range(model.config.n_fusion_layers):
        name = f"fusion.{i}"
        yield ({key: plan.place(f"{name}.{key}") for key in ("norm", "wq", "wk", "wv", "wo", "scales")}
               | {"name": name, "image": plan.place(f"image.{i}"), "tap": taps.index(f"{name}.codes"),
                  "image_tap": taps.index(f"{name}.image.k")})


def _layers(model: FrozenModel, plan: Plan, taps: list[str]):
    cfg, slot = model.config, 0
    for part, prefix, count in (("encoder", "enc", cfg.n_encoder_layers), ("decoder", "dec", cfg.n_decoder_layers)):
        for i in range(count):
            name = f"{prefix}.{i}"
            entry = {key: plan.place(f"{name}.{key}")
                     for key in ("attn_norm", "wqkv", "wo", "ffn_norm", "w1", "w2", "scales")}
            entry |= {"name": name, "slot": slot, "part": part, "index": i,
                      "kv": plan.place(f"kv.{slot}"), "tap": taps.index(f"{name}.attn.codes")}
            if part == "decoder":
                entry |= {"wm": plan.place(f"{name}.wm"), "wm_scale": plan.place(f"{name}.wm_scale"),
                          "cond_tap": taps.index(f"{name}.cond")}
            slot += 1
            yield entry


def _make_arguments(board: Board) -> str:
    """How `make` is told to use the board's first compiler that is a plain command."""
    for compiler in board.compilers.values():
        if not compiler.package.startswith("pip:"):
            flags = f' EXTRA="{" ".join(compiler.flags)}"' if compiler.flags else ""
            return f"CC={compiler.command[0]}{flags}"
    return "CC=..."


def _make_link(board: Board) -> str:
    """What the board's first compiler wants after the objects, as the project's folder sees it."""
    return " ".join(part.format(src="src") for part in next(iter(board.compilers.values())).link)


def _macro(name: str) -> str:
    return name.upper().replace(".", "_")


def version() -> str:
    """Version of this package, or 'unknown' in an uninstalled checkout."""
    try:
        return metadata.version("bitmar-tiny")
    except metadata.PackageNotFoundError:
        return "unknown"
