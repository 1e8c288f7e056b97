# SPDX-License-Identifier: Apache-2.0
"""Knowledge editing in language models, and a gate that judges an editor."""
