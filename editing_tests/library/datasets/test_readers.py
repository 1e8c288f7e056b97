# SPDX-License-Identifier: Apache-2.0
"""Each published format becomes facts; what its records say comes through exactly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from editing_tests.library.datasets import published
from editing_tests.library.datasets.published import MAKERS, written
from kedit.datasets import DatasetError, Probe, read_dataset
from kedit.fact_files import record_of_fact
from kedit.facts import Fact, Prompt
from kedit.paths import fixtures_dir
from kedit.worlds import World

FIGURE_9 = fixtures_dir() / "datasets" / "s2rke-figure-9.json"


def test_the_record_that_the_paper_prints() -> None:
    found = read_dataset(FIGURE_9)
    assert (found.format, found.source, found.skipped) == ("s2rke", "s2rke-figure-9.json", ())
    assert found.fingerprint == hashlib.sha256(FIGURE_9.read_bytes()).hexdigest()
    first, second, third = found.facts()
    assert first == Fact(
        Prompt("", "Double Xposure", ", which is located in"),
        "Głogów County",
        "China",
        "isLocatedIn",
        ("Double Xposure, a 2012 film by Li Yu, is set in",),
        ("Ping Zhang is a citizen of", "Ricky Lee has citizenship in"),
        "0/isLocatedIn",
    )
    assert (second.target, second.true) == ("1910", "2012")
    assert third.prompt.text == "Double Xposure lasts for a duration of seconds,"
    assert third.neighborhood[1] == "The Morality of Mrs. Dulaska lasts for a duration of seconds,"
    assert {(record.case, record.category) for record in found.records} == {("0", "Artifact")}
    assert dict(found.by_subject()) == {"Double Xposure": (first, second, third)}


def test_the_records_of_the_tiny_world_are_its_facts() -> None:
    path = fixtures_dir() / "world" / "seed-0.json"
    assert read_dataset(path).facts() == tuple(World.from_records(path).facts())


def test_another_class_is_its_own_category(tmp_path: Path) -> None:
    records = [published.s2rke(0), published.s2rke(1) | {"class": "<wordnet_event_100029378>"}]
    found = read_dataset(written(tmp_path, records))
    assert {record.category for record in found.records} == {"Person", "wordnet_event_100029378"}


def test_counterfact_and_its_multi_version(tmp_path: Path) -> None:
    found = read_dataset(written(tmp_path, [published.counterfact(0), published.multi_counterfact(1)]))
    first, second = found.facts()
    assert first == Fact(
        Prompt("", "Mira Solano 0", " plays the"),
        "oboe",
        "cello",
        "P1303",
        ("Rain fell. Mira Solano 0 performs on the", "Mira Solano 0, a player of the"),
        ("Ana Ruiz plays the", "Bo Lind plays the"),
        "0",
    )
    assert (second.id, second.neighborhood) == ("1", ())


def test_braces_in_a_subject_are_harmless(tmp_path: Path) -> None:
    (fact,) = read_dataset(written(tmp_path, [published.counterfact(2)])).facts()
    assert fact.prompt == Prompt("", "Iñés {Rojas} 2", " plays the")


def test_the_rewrites_of_a_mquake_case_stay_facts_of_one_case(tmp_path: Path) -> None:
    found = read_dataset(written(tmp_path, [published.mquake(5), published.mquake(6)]))
    assert {case: len(facts) for case, facts in found.cases().items()} == {"5": 2, "6": 2}
    first, second = found.records[:2]
    assert (first.fact.id, second.fact.id) == ("5/1", "5/2")
    assert second.fact.paraphrases == ("Where did Nell Amar 5 die?",)
    assert first.portability == second.portability
    assert first.portability[1] == Probe("In which city was it?", "Porto", "multi-hop")
    assert len(first.portability) == 3


@pytest.mark.parametrize(
    ("options", "target", "true"),
    [({}, "Chile", "Peru"), ({"target": "alt"}, "Chile", "Peru"), ({"target": "answers"}, "Peru", "Chile")],
)
def test_zsre_and_the_choice_of_its_target(options: dict[str, str], target: str, true: str, tmp_path: Path) -> None:
    found = read_dataset(written(tmp_path, [published.zsre(3)]), **options)
    assert found.options == {"target": "alt"} | options
    (record,) = found.records
    assert record.fact == Fact(
        Prompt("Which country is ", "Lake Orvin 3", " in?"),
        target,
        true,
        paraphrases=("Lake Orvin 3 lies in which country?",),
        id="1",
    )
    assert record.specificity == (Probe("nq question: who wrote the song river bend", "Ann Dale"),)
    assert record.portability == (Probe("Which currency is used around Lake Orvin 3?", "peso"),)


def test_knowedit_and_the_flat_form(tmp_path: Path) -> None:
    found = read_dataset(written(tmp_path, [published.knowedit(0), published.flat(1)]))
    first, second = found.records
    assert first.fact.prompt == Prompt("The place of death of ", "Mira Solano 0", " is")
    assert (first.fact.target, first.fact.true) == ("Delft", "Berlin")
    assert first.fact.paraphrases == ("The city where Mira Solano 0 died is",)
    assert first.portability == (Probe("The country where Mira Solano 0 died is", "Belgium", "Reasoning"),)
    assert first.specificity == (
        Probe("The gender of Mira Solano 0 is", "male", "Relation_Specificity"),
        Probe("Leo died in", "Rome", "Forgetfulness"),
        Probe("Max died in", "Oslo", "Forgetfulness"),
    )
    assert second.fact.paraphrases == ("Jan Kolb 1 performs on the",)
    assert second.specificity == (Probe("Lia Ross plays the", "cello"),)


def test_as_many_answers_as_prompts(tmp_path: Path) -> None:
    record = published.flat(0) | {"locality_prompt": ["a", "b"], "locality_ground_truth": ["c"]}
    with pytest.raises(DatasetError, match=r"'locality_ground_truth' is a list of 1; .* 'locality_prompt' has, 2"):
        read_dataset(written(tmp_path, [record]))


@pytest.mark.parametrize("format_", MAKERS)
@pytest.mark.parametrize("name", ["facts.json", "facts.jsonl"])
def test_every_format_is_recognised_in_both_forms_and_converts(format_: str, name: str, tmp_path: Path) -> None:
    found = read_dataset(written(tmp_path, [MAKERS[format_](n) for n in range(4)], name))
    assert found.format == format_
    again = read_dataset(written(tmp_path, [record_of_fact(fact) for fact in found.facts()]))
    assert (again.format, again.facts()) == ("kedit", found.facts())


def test_a_byte_order_mark_and_null_fields_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    record = published.zsre(0) | {"loc": None, "portability": None, "rephrase": None}
    path.write_text("\ufeff" + json.dumps([record]), encoding="utf-8")
    (found,) = read_dataset(path).records
    assert (found.fact.paraphrases, found.specificity, found.portability) == ((), (), ())


def test_blanks_at_the_ends_are_taken_away_at_the_border(tmp_path: Path) -> None:
    record = published.counterfact(0)
    record["requested_rewrite"] |= {"prompt": "  {} plays the ", "subject": " Jan ", "target_new": {"str": " oboe\n"}}
    record["paraphrase_prompts"] = ["Jan, who plays the  "]
    (fact,) = read_dataset(written(tmp_path, [record])).facts()
    assert fact.prompt == Prompt("  ", "Jan", " plays the")
    assert (fact.target, fact.paraphrases) == ("oboe", ("Jan, who plays the",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "csv"}, "format 'csv' is not known; formats are s2rke, mquake"),
        ({"target": "pred"}, "option 'target' is 'pred'; give one of alt, answers"),
        ({"objective": "alt"}, "option 'objective' is not known for the format zsre; its options are target"),
        ({"format": "kedit", "target": "alt"}, "option 'target' is not known for the format kedit; it has none"),
        ({"split": "train"}, "option 'split' is not known for the format zsre"),
    ],
)
@pytest.mark.parametrize("skip_bad", [False, True])
def test_choices_that_there_are_not(arguments: dict[str, str], message: str, skip_bad: bool, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        read_dataset(written(tmp_path, [published.zsre(0)]), skip_bad=skip_bad, **arguments)


def test_thousands_of_records(tmp_path: Path) -> None:
    found = read_dataset(written(tmp_path, [published.s2rke(n) for n in range(2000)]))
    assert len(found.cases()) == len(found.by_subject()) == 2000
    assert len(found.facts()) == 6000
