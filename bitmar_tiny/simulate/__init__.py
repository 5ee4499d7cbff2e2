# SPDX-License-Identifier: Apache-2.0
"""The vector kernels of the ESP32-S3, proven in a simulator that runs the assembly that ships.

Results are exact; cycles are estimates from the manual's pipeline tables, never measurements.
"""

from .kernels import (
    Simulation,
    simulate_dots,
    simulate_five,
    simulate_gemv,
    simulate_probe,
    simulate_skip,
    simulate_wsum16,
)
from .memory import Trap

__all__ = [
    "Simulation",
    "Trap",
    "simulate_dots",
    "simulate_five",
    "simulate_gemv",
    "simulate_probe",
    "simulate_skip",
    "simulate_wsum16",
]
