"""bitmar-tiny: train, lower, prove and profile a small image-and-text model that remembers."""

__version__ = "0.2.0"
