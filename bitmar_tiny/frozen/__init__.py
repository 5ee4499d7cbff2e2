# SPDX-License-Identifier: Apache-2.0
"""The frozen model: one file with all that a board needs, ways to make it smaller, and those that ship."""

from .model_file import FrozenModel, pack_trits, random_model, unpack_trits

__all__ = ["FrozenModel", "pack_trits", "random_model", "unpack_trits"]
