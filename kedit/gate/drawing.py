# SPDX-License-Identifier: Apache-2.0
"""The profiles of Hypothesis: `ci` in any run of the tests of kedit, `nightly` by `--hypothesis-profile nightly`.

Hypothesis keeps the examples of `nightly` that failed in `.hypothesis`, or where HYPOTHESIS_STORAGE_DIRECTORY says.
Kept from one night to the next, they are tried first.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

__all__ = ["PROFILE_OPTION", "register_profiles"]

PROFILE_OPTION = "--hypothesis-profile"

CI_EXAMPLES, NIGHTLY_EXAMPLES = 40, 2000


def register_profiles() -> None:
    """Make both profiles known to Hypothesis; none is loaded."""
    plain = settings.get_profile("default")
    common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("ci", plain, max_examples=CI_EXAMPLES, derandomize=True, database=None, **common)
    settings.register_profile("nightly", plain, max_examples=NIGHTLY_EXAMPLES, print_blob=True, **common)
