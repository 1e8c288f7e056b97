# SPDX-License-Identifier: Apache-2.0
"""The pipeline that the locate-then-edit methods share: facts, groups, values, keys, solve, update."""
