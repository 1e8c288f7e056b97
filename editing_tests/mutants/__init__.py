# SPDX-License-Identifier: Apache-2.0
"""Editors that are broken on purpose, each in one small way, and the properties that must catch them.

A mutant is a built-in editor with one mistake of the kind that implementations make. `catalogue` names them all,
`matrix` runs the gate on them. Given on the command line as `editing_tests.mutants.FILE:CLASS`.
"""
