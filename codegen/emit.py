# SPDX-License-Identifier: Apache-2.0
"""Write a standalone C project for one frozen model and one board."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from bitmar_tiny import __version__
from bitmar_tiny.data.backbone_record import record_of
from bitmar_tiny.errors import ConfigError
from bitmar_tiny.files import UNFINISHED, atomic_file, begin_folder, check_folder, parse_json
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.memory.inspect import memory_of
from bitmar_tiny.memory.store import MemoryStore

from . import frontend
from . import lower as lowering
from .boards import Board
from .components import Component, useful
from .context import context
from .estimate import Estimate, estimates
from .kernels import families
from .memory_cost import MemoryCost, memory_cost
from .pack import HEAD_BITS
from .picture_cost import PictureCost, picture_cost
from .plan import Plan, make_plan
from .resources import resource_dir
from .signature import read_public
from .thing_cost import ThingCost, thing_cost
from .update import build_of, shape

MANIFEST, SCHEMA = "manifest.json", "bitmar-tiny/project"
#: The memory that a model starts with, as a store, in a project whose memory is in one.
MEMORY_STORE = "memory.store"


def read_manifest(project: Path) -> dict[str, Any]:
    """The manifest of a generated project; ``ConfigError`` if it is none, or not finished."""
    try:
        manifest = parse_json((project / MANIFEST).read_bytes())
        if manifest["schema"] == SCHEMA and UNFINISHED in manifest:
            raise ConfigError(
                f"{project}: 'bitmar-tiny codegen' was interrupted while it wrote this project.",
                "Run it again.",
            )
        _ = [manifest[key] for key in ("board", "model", "model_sha256", "kernels", "head_bits")]
        return manifest
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{project}: not a generated project.",
            "Name the folder of one, or make one with 'bitmar-tiny codegen --board BOARD -o FOLDER'.",
        ) from None


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
    picture: PictureCost
    thing: ThingCost | None

    @property
    def memory_store(self) -> Path | None:
        """The store with the memory that the model starts with, if the project keeps it in one."""
        return self.path / MEMORY_STORE if self.blob.memory == "sd" else None

    @property
    def sources(self) -> Path:
        """Folder of the model's C."""
        return self.path / self.board.platform.model_folder


def emit(
    model: FrozenModel,
    board: Board,
    out: Path | str,
    family: str | None = None,
    head_bits: str = "2",
    memory: str = "auto",
    features: Path | None = None,
    updates: bool = False,
    public_key: Path | None = None,
) -> Project:
    """Lower, plan and write the project into ``out`` (created, or overwritten if it is a project of ours).

    ``head_bits``: bits of a weight of the vocabulary head, one of ``pack.HEAD_BITS``; the logits are the same
    bits. ``memory``: ``auto``, ``flash`` (read-only), ``sd`` (a store), or the name of a region that holds
    arenas. ``features``: a folder that ``bitmar-tiny features`` wrote; its backbone goes into the project of
    a Linux board. ``updates``: the firmware takes new weights over the link; ``public_key``:
    only those that the private half of the key in this PEM file signed. Raises ``FitError`` before anything
    is written if the board cannot hold the model.
    """
    family, out = family or board.kernels[0], Path(out)
    arenas = [r.name for r in board.regions if "arena" in r.holds]
    _check(board, family, head_bits, memory, arenas, out, updates)
    if public_key and not updates:
        raise ConfigError("Firmware that takes no updates needs no public key.", "Add --updates.")
    key = read_public(public_key) if public_key else b""
    seen_by = record_of(model.provenance, model.config.name)
    declared = frontend.check(features, model.config, seen_by, board, out) if features else None
    blob = lowering.lower(model, family, head_bits, memory if memory in lowering.MEMORY_TIERS[1:] else "ram")
    board = board.platform.for_updates(board, blob) if updates else board
    board.platform.check_blob(board, blob)
    pinned = memory if memory in arenas else None
    plan = make_plan(model.config, blob, board, pinned)
    tokens = estimates(model.config, blob, board, plan, pinned)
    kept = memory_cost(model.config, blob, board, plan)
    seen = picture_cost(model.config, blob, board, plan)
    thing = thing_cost(model.config, board, tokens[0] if tokens else None, seen, kept)
    project = Project(out, board, family, plan, blob, tokens, kept, seen, thing)
    values = context(model, board, family, blob, plan) | {"version": __version__, "backbone": declared}
    values["sees_vectors"] = seen_by is not None
    begin_folder(out, MANIFEST, SCHEMA)
    wanted = useful(model.config, blob) | ({"update"} if updates else set())
    wanted |= {"update_signature"} if key else set()
    components = board.platform.runtime(wanted, board.components)
    sources = _copy_sources(project, components)
    frontend.copy(features, declared, out)
    values["show_once"] = any(c.name == "show_once" for c in components)
    values["update_build"] = build_of(shape(model, blob)) if updates else b""
    values["update_key"] = key
    values["build_id"] = _build_id(project, sources)
    values |= board.platform.context(board, sources)
    _render(project, values)
    with atomic_file(out / "model.blob") as f:
        f.write(blob.to_bytes())
    if blob.memory == "sd":
        MemoryStore.create(out / MEMORY_STORE, memory_of(model), model.digest)
    store = (out / MEMORY_STORE).read_bytes() if blob.memory == "sd" else b""
    for name, text in board.platform.extra_files(blob, out, store).items():
        (out / name).write_text(text)
    (out / "plan.json").write_text(
        json.dumps(
            plan.as_dict()
            | {"estimates": [e.as_dict() for e in project.estimates], "memory": project.memory.as_dict()}
            | {"picture": project.picture.as_dict()}
            | ({"thing": project.thing.as_dict()} if project.thing else {}),
            indent=2,
        )
        + "\n"
    )
    manifest = {
        "schema": SCHEMA,
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
        **board.platform.manifest,
    } | ({"backbone_sha256": declared.sha256} if declared else {})
    manifest |= {"update": shape(model, blob)} if updates else {}
    manifest |= {"update_key": key.hex()} if key else {}
    with atomic_file(out / MANIFEST) as f:
        f.write((json.dumps(manifest, indent=2) + "\n").encode())
    return project


def _check(
    board: Board, family: str, head_bits: str, memory: str, arenas: list[str], out: Path, updates: bool
) -> None:
    if updates and "update" not in board.platform.optional:
        raise ConfigError(
            f"Firmware for {board.name} cannot take updates: programs for Linux and firmware of ESP-IDF can.",
            "Leave out --updates.",
        )
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
    check_folder(out, MANIFEST, SCHEMA, "a project of bitmar-tiny")


def _copy_sources(project: Project, runtime: list[Component]) -> dict[str, list[str]]:
    """Copy what compiles as it stands; folder -> names of its sources."""
    platform = project.board.platform
    sources = {platform.model_folder: [], platform.own_folder: []}
    sources[platform.model_folder] += [f for c in runtime for f in c.files] + families()[
        project.family
    ].files()
    sources[platform.own_folder] += platform.sources(project.board, runtime)
    copied: dict[str, list[str]] = {}
    for folder, files in sources.items():
        shutil.rmtree(project.path / folder, ignore_errors=True)
        (project.path / folder).mkdir(parents=True)
        for source in files:
            shutil.copyfile(source, project.path / folder / source.name)
        copied[folder] = list(dict.fromkeys(source.name for source in files))
    return copied


def _build_id(project: Project, sources: dict[str, list[str]]) -> str:
    """Twelve hex digits of the SHA-256 over what the firmware is made of: a board tells it, so that a host
    knows the build.
    """
    digest = hashlib.sha256(project.blob.to_bytes())
    digest.update(
        json.dumps([project.board.name, project.family, project.plan.as_dict()], sort_keys=True).encode()
    )
    for folder, names in sorted(sources.items()):
        for name in sorted(names):
            digest.update((project.path / folder / name).read_bytes())
    return digest.hexdigest()[:12]


def _render(project: Project, values: dict) -> None:
    platform = project.board.platform
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_dir("firmware_templates")),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
        autoescape=False,
    )
    own = {
        "project/bm_config.h.j2": f"{platform.model_folder}/bm_config.h",
        "project/bm_step.c.j2": f"{platform.model_folder}/bm_step.c",
    }
    for template, target in (own | platform.templates(project.board)).items():
        (project.path / target).parent.mkdir(parents=True, exist_ok=True)
        (project.path / target).write_text(environment.get_template(template).render(values))
