# SPDX-License-Identifier: Apache-2.0
"""Editors that thresholds are calibrated with: each is right or wrong in one known way.

Given on the command line as `editing_tests.references.FILE:CLASS`; `thresholds.toml` says which stand on which side.
"""
