# SPDX-License-Identifier: Apache-2.0
"""Tables and figures of what the editors do to the tiny models."""
