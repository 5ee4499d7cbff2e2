"""Write a standalone C project for one frozen model and one board."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import jinja2

from bitmar_tiny.errors import ConfigError
from bitmar_tiny.files import atomic_file
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.store import Memory, MemoryStore

from . import espidf, frontend
from . import lower as lowering
from .boards import Board
from .context import context
from .estimate import Estimate, estimates
from .memory_cost import MemoryCost, memory_cost
from .pack import HEAD_BITS
from .plan import Plan, make_plan
from .resources import resource_dir, version

MANIFEST = "manifest.json"
#: The memory that a model starts with, as a store, in a project whose memory is in one.
MEMORY_STORE = "memory.store"


@dataclass(frozen=True)
class Layout:
    """Where a project's files go: the model's sources, the platform's (patterns in firmware_templates/platform, with fields of the
    board), templates."""

    model: str
    platform: str
    patterns: tuple[str, ...]
    templates: dict[str, str]


LAYOUTS = {
    "linux": Layout(
        "src",
        "src",
        ("linux_*",),
        {"Makefile.j2": "Makefile", "CMakeLists.txt.j2": "CMakeLists.txt", "README.md.j2": "README.md"},
    ),
    "xtensa": Layout(
        "src",
        "src",
        ("xtensa_*", "softfloat.c"),
        {"Makefile.j2": "Makefile", "README.md.j2": "README.md"},
    ),
    "bare": Layout(
        "src",
        "src",
        ("bare.h", "bare_main.c", "bare_blob.S", "bare_sections.ld", "bare_{machine}*", "bare_{name}.ld"),
        {"Makefile.j2": "Makefile", "README.md.j2": "README.md"},
    ),
    "espidf": Layout(espidf.MODEL, espidf.PLATFORM, ("espidf*",), espidf.TEMPLATES),
}


@dataclass(frozen=True)
class Project:
    """A generated project: its folder, board, kernel family, plan and packed blob."""

    path: Path
    board: Board
    family: str
    plan: Plan
    blob: lowering.Blob
    estimates: list[Estimate]
    memory: MemoryCost

    @property
    def memory_store(self) -> Path | None:
        """The store with the memory that the model starts with, if the project keeps it in one."""
        return self.path / MEMORY_STORE if self.blob.memory == "sd" else None

    @property
    def sources(self) -> Path:
        """Folder of the model's C."""
        return self.path / LAYOUTS[self.board.os].model


def emit(
    model: FrozenModel,
    board: Board,
    out: Path | str,
    family: str | None = None,
    head_bits: str = "2",
    memory: str = "auto",
    features: Path | None = None,
) -> Project:
    """Lower, plan and write the project into ``out`` (created, or overwritten if it is a project of ours).

    ``head_bits``: bits of a weight of the vocabulary head, one of ``pack.HEAD_BITS``; the logits are the same bits.
    ``memory``: ``auto``, ``flash`` (read-only), ``sd`` (a store), or the name of a region that holds arenas.
    ``features``: a folder that ``bitmar-tiny features`` wrote; its backbone goes into the project of a Linux board.
    Raises ``FitError`` before anything is written if the board cannot hold the model.
    """
    family, out = family or board.kernels[0], Path(out)
    arenas = [r.name for r in board.regions if "arena" in r.holds]
    _check(board, family, head_bits, memory, arenas, out)
    declared = frontend.check(features, model.config, board, out) if features else None
    blob = lowering.lower(model, family, head_bits, memory if memory in lowering.MEMORY_TIERS[1:] else "ram")
    if board.os == "espidf":
        espidf.check(board, blob)
    pinned = memory if memory in arenas else None
    plan = make_plan(model.config, blob, board, pinned)
    project = Project(
        out,
        board,
        family,
        plan,
        blob,
        estimates(model.config, blob, board, plan, pinned),
        memory_cost(model.config, blob, board, plan),
    )
    values = context(model, board, family, blob, plan) | {"version": version(), "backbone": declared}
    sources = _copy_sources(project)
    frontend.copy(features, declared, out)
    values["build_id"] = _build_id(project, sources)
    if board.os == "espidf":
        values |= espidf.context(board, sources)
    _render(project, values)
    with atomic_file(out / "model.blob") as f:
        f.write(blob.to_bytes())
    if blob.memory == "sd":
        a = model.arrays
        MemoryStore.create(
            out / MEMORY_STORE,
            Memory(a["memory.m.codes"], a["memory.m.scales"], a["memory.m.usage"]),
            model.digest,
        )
    (out / "plan.json").write_text(
        json.dumps(
            plan.as_dict()
            | {"estimates": [e.as_dict() for e in project.estimates], "memory": project.memory.as_dict()},
            indent=2,
        )
        + "\n"
    )
    (out / MANIFEST).write_text(
        json.dumps(
            {
                "schema": "bitmar-tiny/project",
                "schema_version": 1,
                "version": values["version"],
                "board": board.name,
                "kernels": family,
                "head_bits": head_bits,
                "memory": blob.memory,
                "model": model.config.name,
                "model_sha256": model.digest,
                "tap_count": values["tap_count"],
                "build": values["build_id"],
            }
            | ({"backbone_sha256": declared.sha256} if declared else {}),
            indent=2,
        )
        + "\n"
    )
    return project


def _check(board: Board, family: str, head_bits: str, memory: str, arenas: list[str], out: Path) -> None:
    if family not in board.kernels:
        raise ConfigError(
            f"Board {board.name} has no kernel family '{family}'.", f"It has: {', '.join(board.kernels)}."
        )
    if head_bits not in HEAD_BITS:
        raise ConfigError(
            f"There is no head of {head_bits} bits a weight.", f"Choose one of: {', '.join(HEAD_BITS)}."
        )
    if memory == "sd" and not any("store" in r.holds for r in board.regions):
        raise ConfigError(
            f"Programs for {board.name} cannot keep the memory in a store.", "Leave out --memory sd."
        )
    if memory not in ("auto", "flash", "sd", *arenas):
        raise ConfigError(
            f"Board {board.name} has no place '{memory}' for the memory.",
            f"Choose one of: auto, flash, sd, {', '.join(arenas)}.",
        )
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise ConfigError(
            f"{out}: not empty and not a project of bitmar-tiny.", "Choose another folder with -o."
        )


def _copy_sources(project: Project) -> dict[str, list[str]]:
    """Copy what compiles as it stands; folder -> names of its sources."""
    templates, layout = resource_dir("firmware_templates"), LAYOUTS[project.board.os]
    kernels = [
        templates / "kernels" / f"bm_kernels__{project.family}.c",
        *sorted((templates / "kernels").glob(f"bm_kernels__{project.family}*.S")),
    ]
    kernels += [
        h for h in sorted((templates / "kernels").glob("*.h")) if f'"{h.name}"' in kernels[0].read_text()
    ]
    model = [*sorted((templates / "runtime").glob("bm_*.[ch]")), templates / "runtime" / "bitmar.h", *kernels]
    platform = [
        f
        for pattern in layout.patterns
        for f in sorted(
            (templates / "platform").glob(
                pattern.format(machine=project.board.machine, name=project.board.name)
            )
        )
    ]
    if project.blob.memory != "sd":
        model, platform = ([f for f in files if "_store" not in f.name] for files in (model, platform))
    for folder in {layout.model, layout.platform}:
        shutil.rmtree(project.path / folder, ignore_errors=True)
        (project.path / folder).mkdir(parents=True)
    copied: dict[str, list[str]] = {}
    for folder, files in ((layout.model, model), (layout.platform, platform)):
        for source in files:
            shutil.copyfile(source, project.path / folder / source.name)
            copied.setdefault(folder, []).append(source.name)
    return copied


def _build_id(project: Project, sources: dict[str, list[str]]) -> str:
    """Twelve hex digits of the SHA-256 over what the firmware is made of: a board tells it, so that a host knows the build."""
    digest = hashlib.sha256(project.blob.to_bytes())
    digest.update(
        json.dumps([project.board.name, project.family, project.plan.as_dict()], sort_keys=True).encode()
    )
    for folder, names in sorted(sources.items()):
        for name in sorted(names):
            digest.update((project.path / folder / name).read_bytes())
    return digest.hexdigest()[:12]


def _render(project: Project, values: dict) -> None:
    layout = LAYOUTS[project.board.os]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_dir("firmware_templates") / "project"),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
        autoescape=False,
    )
    own = {"bm_config.h.j2": f"{layout.model}/bm_config.h", "bm_step.c.j2": f"{layout.model}/bm_step.c"}
    for template, target in (own | layout.templates).items():
        (project.path / target).parent.mkdir(parents=True, exist_ok=True)
        (project.path / target).write_text(environment.get_template(template).render(values))
