# SPDX-License-Identifier: Apache-2.0
"""A plain checkout loads the plugin here; an installed one by its entry point of the same name."""

pytest_plugins = ["kedit.gate.plugin"]
