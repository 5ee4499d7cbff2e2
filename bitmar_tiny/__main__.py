# SPDX-License-Identifier: Apache-2.0
"""``python -m bitmar_tiny``: the command ``bitmar-tiny``."""

from .cli.app import main

main()
