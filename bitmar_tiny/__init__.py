"""bitmar-tiny: train, lower, prove and profile a small image-and-text model that remembers."""
