# SPDX-License-Identifier: Apache-2.0
"""PMET (Li et al. 2024): MEMIT with values found at attention and MLP together, and a slower spread."""

from __future__ import annotations

from kedit.editors.memit import Memit

__all__ = ["Pmet"]


class Pmet(Memit):
    """Precise model editing; settings as in `MemitSettings`.

    One vector is added to the output of the attention and one to that of the MLP, at the subject's last token of the
    last edited layer, and both are optimised, each in its own ball. Only the MLP's is written: what attention would
    have to do is left to it. The layer at position `i` gets `1 / sqrt(len(layers) - i)` of the residual of the MLP's
    output, which hardly shrinks on the way up, because lower layers do not write into it.

    The published code also makes the likelihood weigh a tenth once every target token is the argmax, and stops on the
    KL term then; here `value.stop` ends the search.
    """

    name = "pmet"
    places = ("attention", "value")
    share = "root"
