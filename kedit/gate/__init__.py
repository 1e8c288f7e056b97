# SPDX-License-Identifier: Apache-2.0
"""The gate: a pytest plugin that judges an editor property by property."""
