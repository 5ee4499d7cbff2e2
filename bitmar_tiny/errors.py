# SPDX-License-Identifier: Apache-2.0
"""One error tree. Everything a user can cause ends here, and the CLI turns it into one sentence.

BitmarError            what, where            (+ hint: the fix)
├── ConfigError        a configuration value or key
├── DataError          an input file: missing, corrupt, of the wrong shape
├── FrozenError        a frozen model file that is not one, or is damaged
├── StoreError         a memory store that is missing, damaged or another model's
├── FitError           a model that a board cannot hold
├── ToolError          a compiler or emulator that is missing or failed
│   └── ProcessorError a kernel family whose instructions this processor lacks
├── DeviceError        a board, or the port it is on, that does not do what it should
└── VerifyError        a target that differs from the golden model
"""

from __future__ import annotations

__all__ = [
    "BitmarError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "FitError",
    "FrozenError",
    "ProcessorError",
    "StoreError",
    "ToolError",
    "VerifyError",
]


class BitmarError(Exception):
    """A problem the user can act on.

    ``message`` says what and where in one sentence; ``hint`` says how to mend it.
    """

    exit_code = 2
    #: Most characters that are said at once; what a file holds may be quoted in it.
    longest = 1000

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = self._line(message), self._line(hint)

    def _line(self, text: str) -> str:
        """``text`` as one line that every terminal can show: no control or half characters, no pages."""
        if not text.isprintable():
            text = "".join(c if c.isprintable() else " " if c in "\n\r\t" else ascii(c)[1:-1] for c in text)
        if len(text) > self.longest:
            text = f"{text[: self.longest * 3 // 4]} ... {text[-self.longest // 5 :]}"
        return text

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(BitmarError):
    """A configuration key or value that cannot be used."""


class DataError(BitmarError):
    """An input file that is missing, corrupt or of the wrong shape."""


class FrozenError(BitmarError):
    """A frozen model file that is damaged or not a frozen model."""


class StoreError(BitmarError):
    """A memory store that is missing, damaged, of another model or newer format, or not writable."""


class FitError(BitmarError):
    """A model that does not fit a board: which region, by how much, which knob."""


class ToolError(BitmarError):
    """A compiler, linker or emulator that is missing or failed: what it printed may be a page."""

    def _line(self, text: str) -> str:
        return text


class ProcessorError(ToolError):
    """A program whose kernel family this processor cannot run."""


class DeviceError(BitmarError):
    """A board, or its port, that is missing, busy, silent or not what it should be."""


class VerifyError(BitmarError):
    """A target whose numbers differ from the golden model."""

    exit_code = 1
