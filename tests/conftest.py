"""Shared fixtures, and what holds for every test: see README.md here."""

from __future__ import annotations

import os

# One thread for every library, before any of them is loaded: workers share the processors already, and numbers must not depend on
# how many there are. A terminal of one width, without colours, wherever the tests run.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ |= {"COLUMNS": "200", "LC_ALL": "C.UTF-8"}
for _name in ("FORCE_COLOR", "CLICOLOR_FORCE", "NO_COLOR"):
    os.environ.pop(_name, None)

import resource
from collections import Counter

import compilers
import pytest
from support import GROUPED, ODD, TINY

from bitmar_tiny.frozen import random_model

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


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory):
    """One cache of compiled C for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    cache = compilers.Cache(shared / "compiled", COUNTS)
    cache.install()
    yield
    cache.remove()


def pytest_sessionfinish(session):
    """A worker tells what it used; a run without workers adds it up at once."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    mine = Counter(COUNTS.started) | Counter(
        {"copied": COUNTS.copied, "ms": int(1000 * sum(u.ru_utime + u.ru_stime for u in used))}
    )
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["used"] = dict(mine)
    else:
        TOTAL.update(mine)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    TOTAL.update(getattr(node, "workeroutput", {}).get("used", {}))


def pytest_terminal_summary(terminalreporter):
    started = ", ".join(f"{name} {n}" for name, n in TOTAL.most_common() if name not in ("copied", "ms"))
    terminalreporter.write_sep("=", "compilers and emulators")
    terminalreporter.write_line(f"started: {started or 'none'}")
    terminalreporter.write_line(f"compiled before in this run, and copied: {TOTAL['copied']}")
    terminalreporter.write_line(f"processor seconds: {TOTAL['ms'] / 1000:.0f}")
