"""One way to talk to a model, wherever it runs."""
