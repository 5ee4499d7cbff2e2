"""Shared fixtures."""

import pytest
from support import GROUPED, ODD, TINY

from bitmar_tiny.frozen import random_model


@pytest.fixture(scope="session")
def tiny():
    return random_model(TINY, seed=1)


@pytest.fixture(scope="session")
def odd():
    return random_model(ODD, seed=2)


@pytest.fixture(scope="session")
def grouped():
    return random_model(GROUPED, seed=3)
