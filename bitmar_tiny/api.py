# SPDX-License-Identifier: Apache-2.0
"""What Python programs use, all of it importable from ``bitmar_tiny`` itself.

The functions are named with a noun where a room of the package has the verb: ``train`` is the room,
``train_model`` the function. Errors are subclasses of ``BitmarError``: ``message`` says what is wrong,
``hint`` how to mend it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .arch.config import ModelConfig, preset
from .codegen.boards import Board as BoardProfile
from .codegen.boards import board_files, load_board
from .codegen.build import Program, build
from .codegen.emit import Project, emit
from .data.pixels import read_picture
from .errors import (
    BitmarError,
    ConfigError,
    DataError,
    DeviceError,
    FitError,
    FrozenError,
    StoreError,
    ToolError,
    VerifyError,
)
from .extras import need
from .frozen import FrozenModel, random_model
from .frozen.shipped import by_name, default_model
from .memory.inspect import memory_of
from .memory.store import Memory, MemoryStore
from .profile.recording import Recording
from .run.generate import Request
from .run.generate import generate as stream
from .run.session import Session, SessionOptions, open_session
from .verify.compare import Verdict, verify
from .verify.script import standard
from .verify.trace import possible

#: Tokens of a verification: enough to go past the window of small models, and a second or two.
VERIFY_TOKENS = 300


def load(model: str | Path | None = None) -> FrozenModel:
    """A frozen model: a file, or the name of one that ships (``demo``, ``recall``). None: as the commands
    choose.

    ``FrozenError`` for a file that is none.

    >>> load("demo").config.vocab_size
    4096
    """
    return FrozenModel.load(default_model() if model is None else by_name(Path(model)))


def session(
    model: FrozenModel | None = None,
    on: str = "golden",
    *,
    memory: MemoryStore | str | Path | None = None,
    baud: int = SessionOptions.baud,
    timeout_s: float | None = None,
    record: str | Path | None = None,
    taps: bool = False,
) -> Session:
    """The model, running on a target; use it in a ``with`` statement.

    on: ``golden``, ``torch``, ``host``, the name of a board (its firmware is built and started here, in an
    emulator if need be), ``/dev/ttyUSB0``, ``socket://HOST:PORT``, ``rfc2217://HOST:PORT``, ``replay:FILE``,
    ``onnx`` or ``tflite``. memory: a store in the place of the memory that the model was trained to; record:
    file for what is exchanged with firmware; taps: the target must be able to show every tensor.
    ``ConfigError`` for a target that is none, ``DeviceError`` for a board that does not answer as it should.

    >>> with session(load("recall")) as s:
    ...     bytes_of_text = b"".join(text for _, text in s.generate("The key is", limit=4))
    """
    store = memory.path if isinstance(memory, MemoryStore) else memory
    flags = ("-DBM_TAPS",) if taps else ()
    options = SessionOptions(
        baud=baud,
        timeout_s=timeout_s,
        record=Path(record) if record else None,
        flags=flags,
        store=Path(store) if store else None,
        taps=taps,
    )
    return open_session(on, model, options)


def connect(port: str, model: FrozenModel | None = None, **options: Any) -> Session:
    """A board on a port: :func:`session` with the board's own model, or ``model`` if it must be that one."""
    return session(model, port, **options)


def generate(
    model: FrozenModel,
    prompt: str = "",
    *,
    image: str | Path | np.ndarray | None = None,
    on: str | Session = "golden",
    limit: int = 32,
    temperature: float = 0.0,
    top_k: int = 40,
    seed: int = 0,
    memory: MemoryStore | str | Path | None = None,
    remember: bool = False,
) -> str:
    """The text that the model writes behind ``prompt``. Every target gives the same.

    image: a picture file, or float32 features or uint8 patches [image_inputs, 768]; temperature 0 is greedy;
    remember: write the episode, prompt and answer, into ``memory`` when it is over.
    ``DataError`` for a picture that cannot be read, ``ConfigError`` for a model without a tokenizer.

    >>> from tempfile import TemporaryDirectory
    >>> model = load("recall")
    >>> with TemporaryDirectory() as folder:
    ...     store = memory_store(Path(folder) / "memory.store", model)
    ...     _ = generate(model, "The key is in the drawer.", memory=store, remember=True)
    ...     generate(model, "The key is", memory=store)
    ' in the drawer.'
    """
    if remember and memory is None and isinstance(on, str):
        raise ConfigError(
            "remember=True needs a memory to write to.", "Give memory=memory_store(PATH, model)."
        )
    picture = (
        image
        if image is None or isinstance(image, np.ndarray)
        else read_picture(image, model.config.image_inputs)
    )
    request = Request(prompt, picture, limit, temperature, top_k, seed, True, remember)
    if not isinstance(on, str):
        return _text(on, request)
    with session(model, on, memory=memory) as opened:
        return _text(opened, request)


def caption(model: FrozenModel, image: str | Path | np.ndarray, **options: Any) -> str:
    """What the model sees on a picture: :func:`generate` without a prompt, its spaces stripped."""
    return generate(model, image=image, **options).strip()


def _text(opened: Session, request: Request) -> str:
    if not opened.writes_text:
        raise ConfigError(
            f"{opened.name}: this model was frozen without a tokenizer.",
            "Freeze it with one to generate text.",
        )
    return b"".join(piece for _, piece in stream(opened, request)).decode(errors="replace")


def memory_store(path: str | Path, model: FrozenModel) -> MemoryStore:
    """The memory of ``model`` in a file or on a card: opened, or made with what the model was trained to.

    ``StoreError`` for a store that is damaged or another model's.
    """
    path = Path(path)
    if path.exists():
        return MemoryStore.open(path, model.digest)
    return MemoryStore.create(path, memory_of(model), model.digest)


def board_names() -> list[str]:
    """Every board profile there is, those in $BITMAR_TINY_BOARDS included.

    >>> "rpi-zero2" in board_names()
    True
    """
    return list(board_files())


def write_project(
    model: FrozenModel,
    board: BoardProfile | str,
    out: str | Path,
    *,
    kernels: str | None = None,
    head_bits: str = "2",
    memory: str = "auto",
    features: str | Path | None = None,
) -> Project:
    """Generate a standalone C project for a board, as ``bitmar-tiny codegen`` does; see ``codegen.emit.emit``
    for the options.

    ``FitError`` before anything is written if the board cannot hold the model: it names the region, the bytes
    and the knob.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_project(load("demo"), "esp32-s3-n16r8", folder).family
    'pie'
    """
    profile = load_board(board) if isinstance(board, str) else board
    return emit(model, profile, Path(out), kernels, head_bits, memory, Path(features) if features else None)


def build_project(project: Project, *, compiler: str | None = None, opt: str = "-O2") -> Program:
    """Compile a project of :func:`write_project`. ``ToolError`` with the fix if a compiler is missing or
    complains.
    """
    return build(project.path, project.board, project.family, compiler=compiler, opt=opt)


def verify_model(
    model: FrozenModel,
    on: str = "host",
    *,
    tokens: int = VERIFY_TOKENS,
    seed: int = 0,
    progress: Callable[[int], None] = lambda event: None,
) -> Verdict:
    """Compare every tensor of every step on a target with golden, bit for bit.

    ``exact`` of the verdict says whether all agree, ``difference`` where they do not first. ``DeviceError``
    for a board that stops answering.
    """
    with session(model, on, taps=True) as target:
        return verify(
            model, target, possible(standard(model.config, tokens, seed), target), progress=progress
        )


def profile_model(
    model: FrozenModel | None, on: str = "host", *, tokens: int = 32, rounds: int = 12
) -> Recording:
    """Where the time of a token goes on firmware. The memory is afterwards what it was before.

    tokens: prefilled and decoded in each of ``rounds`` streams. The label of the recording says measured or
    simulated. ``ConfigError`` for a target that is no firmware, ``DeviceError`` for firmware without marks.
    """
    from .run.device import DeviceSession
    from .run.profile import record

    with open_session(on, model, SessionOptions(flags=("-DBM_PROFILE",))) as board:
        if not isinstance(board, DeviceSession):
            raise ConfigError(
                f"{on} is no firmware: it has no clock to read.", "Choose host, a board or a port."
            )
        label = "simulated" if board.emulated else "measured"
        return record(board, tokens, rounds, label=label, plan=board.plan)[0]


def train_model(
    config: ModelConfig | str,
    out: str | Path,
    *,
    captions: Sequence[str | Path] = (),
    features: Sequence[str | Path] = (),
    text: Sequence[str | Path] = (),
    sessions: Sequence[str | Path] = (),
    settings: str | Path | None = None,
    progress: bool = False,
    **changes: Any,
) -> Path:
    """Train a preset or a configuration in folder ``out``; a run that is there goes on where its last
    checkpoint left it.

    Without data of your own: the pictures and text of the preset's demo. ``changes``: training settings such
    as ``steps`` or ``seed``. Returns the folder of the run. ``ConfigError`` if the run there has other
    settings. Needs ``bitmar-tiny[train]``.
    """
    need("torch", "tensorboard", "matplotlib")
    from .train.run import run_corpus, settings_for, train_run

    cfg, run = preset(config) if isinstance(config, str) else config, Path(out)
    tcfg = settings_for(cfg, Path(settings) if settings else None, changes)
    own = {"captions": captions, "features": features, "text": text, "sessions": sessions}
    data: dict[str, Any] = {"folder": str((run / "data").absolute())}
    data |= {kind: [str(Path(p).absolute()) for p in paths] for kind, paths in own.items()} | {"styles": []}
    train_run(cfg, tcfg, run_corpus(cfg, tcfg, data), run, progress=progress, data=data)
    return run


def freeze_run(run: str | Path) -> FrozenModel:
    """The frozen model of a training run's last checkpoint. ``DataError`` if there is no run. Needs
    ``bitmar-tiny[train]``.
    """
    need("torch")
    from .train.run import freeze_run as freeze

    return freeze(Path(run))
