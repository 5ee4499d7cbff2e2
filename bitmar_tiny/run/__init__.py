# SPDX-License-Identifier: Apache-2.0
"""One way to talk to a model, wherever it runs."""
