# SPDX-License-Identifier: Apache-2.0
"""Data sets of facts: read, made and sampled."""
