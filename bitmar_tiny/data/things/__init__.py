# SPDX-License-Identifier: Apache-2.0
"""Labelled pictures of things, each from several sides or by several hands: where each set comes from, how it
is drawn once, and what may be asked of it.
"""
