# SPDX-License-Identifier: Apache-2.0
"""A training corpus out of packages: fetched, cleaned, without doubles, without what is evaluated."""
