# SPDX-License-Identifier: Apache-2.0
"""r-ROME (Gupta et al. 2024, "Rebuilding ROME"): ROME with one key for direction and constraint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kedit.editors.rome import Rome, RomeSettings

__all__ = ["RRome", "RRomeSettings"]


@dataclass(frozen=True, kw_only=True)
class RRomeSettings(RomeSettings):
    """Settings of r-ROME, those of ROME with fewer kinds of keys.

    Attributes:
        keys: `averaged` over contexts (r-ROME), or those of the `bare` prompt (p-ROME of the same paper).
    """

    keys: Literal["averaged", "bare"] = "averaged"


class RRome(Rome):
    """ROME whose denominator is `k^T C^{-1} k > 0` for the key that the constraint holds on; see `RRomeSettings`.

    The published code of ROME takes the mean key for the direction and the bare prompt's for the constraint, and now
    and then one edit disables the model. r-ROME takes one key for both, which is what the text of the ROME paper says:
    with averaged keys this editor and `rome` are the same formula, and `rome` with `keys = "mixed"` is what it mends.
    """

    name = "r-rome"
    settings: type[RRomeSettings] = RRomeSettings
