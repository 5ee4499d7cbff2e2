"""The episodic memory outside a model: its store on a file or card, the store's format, and snapshots of it."""
