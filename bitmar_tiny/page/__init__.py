# SPDX-License-Identifier: Apache-2.0
"""The page in which a person tries a model in a browser, teaches it, and speaks to a board: one HTML file."""
