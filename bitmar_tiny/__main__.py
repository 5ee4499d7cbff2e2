"""``python -m bitmar_tiny``: the command ``bitmar-tiny``."""

from .cli.app import main

main()
