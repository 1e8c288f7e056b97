# SPDX-License-Identifier: Apache-2.0
"""Properties that an editor of knowledge must have, and tests of kedit itself."""
