# SPDX-License-Identifier: Apache-2.0
"""The episodic memory outside a model: its store on a file or card, that format, and snapshots."""
