# SPDX-License-Identifier: Apache-2.0
"""`docs/properties.md` is what the data say."""

from __future__ import annotations

from editing_tests.mutants.page import main, page
from kedit.gate.run import suite_folder

ROOT = suite_folder().parent


def test_the_page_is_up_to_date():
    assert main(["--check"]) == 0, "run python -m editing_tests.mutants.page"


def test_every_property_pitfall_and_mutant_has_its_row():
    text = page(ROOT)
    for name in (suite_folder() / "properties.txt").read_text(encoding="utf-8").split():
        assert f"\n| `{name}` |" in text
    for number in range(1, 71):
        assert f"\n| {number} |" in text
    assert "\n| KeyOneEarly | memit |" in text
