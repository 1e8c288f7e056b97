# SPDX-License-Identifier: Apache-2.0
"""S2RKE records from files of triples."""

from __future__ import annotations

from pathlib import Path

import pytest

from kedit.datasets.categories import CLASSES
from kedit.datasets.errors import DatasetError
from kedit.datasets.relation_tables import relation_noun, templated_relations
from kedit.datasets.star_building import Built, build_stars
from kedit.datasets.triples import clean, integer, read_labels, read_triples, year
from kedit.facts import Fact, Prompt, check_facts
from kedit.worlds import World

PEOPLE = 12
CITIES = ("Głogów", "Port_Vell", "Lund")


def person(number: int) -> list[tuple[str, str, str]]:
    """Four facts of one person, all shared with at least two others."""
    name = f"<Mira_{chr(65 + number)}olano_(cellist)>"
    return [
        (name, "<wasBornIn>", f"<{CITIES[number % 3]}>"),
        (name, "<diedIn>", f"<{CITIES[(number + 1) % 3]}>"),
        (name, "<wasBornOnDate>", f'"{1950 + number % 2}-03-##"^^xsd:date'),
        (name, "<hasHeight>", f'"{170 + number % 3}"^^<m>'),
    ]


TRIPLES = [triple for number in range(PEOPLE) for triple in person(number)]


def yagos(folder: Path, triples: list[tuple[str, str, str]] = TRIPLES, *, ids: bool = True) -> Path:
    path = folder / "yago.tsv"
    rows = ["\t".join(("<id_1>", *triple, "1.0") if ids else triple) for triple in triples]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def built(path: Path, **options: object) -> Built:
    return build_stars(read_triples(path), 0, **options)  # type: ignore[arg-type]


def truths(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for number in range(PEOPLE):
        if clean(person(number)[0][0]) == name:
            born, died, date, height = (value for _, _, value in person(number))
            found = {
                "<wasBornIn>": {clean(born)},
                "<diedIn>": {clean(died)},
                "<wasBornOnDate>": {year(date)},
                "<hasHeight>": {integer(height)},
            }
    return found


def test_the_table_has_the_43_relations() -> None:
    table = templated_relations()
    assert [relation.id for relation in table.values()] == list(range(1, 44))
    texts = [text for relation in table.values() for text in relation.templates]
    assert len(set(texts)) == len(texts)
    for relation in table.values():
        assert len(relation.templates) >= 3
        assert all(text.count("{}") == 1 and text == text.strip() for text in relation.templates)
        assert relation.category in {"", *CLASSES}
        assert (relation.value == "date") == (relation.range == "xsd:date")
        assert relation_noun(relation.name)
    properties = [relation.wikidata for relation in table.values() if relation.wikidata]
    assert len(set(properties)) == len(properties)


@pytest.mark.parametrize("ids", [True, False])
def test_records_have_the_shape_of_figure_9(tmp_path: Path, ids: bool) -> None:
    records = built(yagos(tmp_path, ids=ids)).records
    (model,) = World.generate(0).records()[:1]
    assert len(records) == PEOPLE
    for number, record in enumerate(records):
        assert list(record) == list(model)
        assert list(record["subject"]) == list(model["subject"])
        assert record["subjectID"] == number
        assert record["class"] == CLASSES["Person"]
        for item in record["Star_Topology"]:
            assert list(item) == list(model["Star_Topology"][0])
            assert list(item["requested_rewrite"]) == list(model["Star_Topology"][0]["requested_rewrite"])
    assert records[0]["subject"] == {
        "name": "Mira Aolano",
        "URL": "/resource/Mira_Aolano_(cellist)",
        "original_name": "<Mira_Aolano_(cellist)>",
        "description": "",
    }


def test_what_records_say_is_what_the_triples_say(tmp_path: Path) -> None:
    objects = {"<wasBornIn>": {clean(c) for c in CITIES}, "<diedIn>": {clean(c) for c in CITIES}}
    objects |= {"<wasBornOnDate>": {"1950", "1951"}, "<hasHeight>": {"170", "171", "172"}}
    for record in built(yagos(tmp_path)).records:
        name = record["subject"]["name"]
        facts = []
        assert {item["requested_rewrite"]["relation"] for item in record["Star_Topology"]} == set(objects)
        for item in record["Star_Topology"]:
            rewrite = item["requested_rewrite"]
            templates = templated_relations()[rewrite["relation"].strip("<>")].templates
            assert {rewrite["target_true"]} == truths(name)[rewrite["relation"]]
            assert rewrite["target_new"] in objects[rewrite["relation"]] - {rewrite["target_true"]}
            assert rewrite["prompt"] in templates
            (paraphrase,) = item["paraphrase_prompts"]
            assert paraphrase in {text.replace("{}", name) for text in templates if text != rewrite["prompt"]}
            assert len(set(item["neighborhood_prompts"])) == 2
            for prompt in item["neighborhood_prompts"]:
                assert name not in prompt
                assert rewrite["target_true"] in answers(prompt)
            facts.append(Fact(Prompt.from_template(rewrite["prompt"], name), rewrite["target_new"], "?"))
        check_facts(facts)


def answers(prompt: str) -> set[str]:
    """The objects that the triples give for a prompt."""
    return {
        value
        for number in range(PEOPLE)
        for relation, values in truths(clean(person(number)[0][0])).items()
        for text in templated_relations()[relation.strip("<>")].templates
        if text.replace("{}", clean(person(number)[0][0])) == prompt
        for value in values
    }


def test_second_objects_are_never_new_ones(tmp_path: Path) -> None:
    # Everybody was born in two of three cities, by different sources: only the third can be new.
    second = [(person(i)[0][0], "<wasBornIn>", f"<{CITIES[(i + 1) % 3]}>") for i in range(PEOPLE)]
    made = built(yagos(tmp_path, TRIPLES + second))
    assert made.left_out == {"second object of a relation": PEOPLE}
    for number, record in enumerate(made.records):
        (rewrite,) = (
            item["requested_rewrite"]
            for item in record["Star_Topology"]
            if item["requested_rewrite"]["relation"] == "<wasBornIn>"
        )
        assert rewrite["target_new"] == clean(CITIES[(number + 2) % 3])


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    more = [
        ("<A>", "<wasBornIn>", "<Lund>"),  # one fact
        ("<Mira_Aolano>", "<wasBornIn>", "<Lund>"),  # named like the first
        ("<B>", "<hasNumber>", "<7>"),
        ("<Mira_Bolano_(cellist)>", "<wasCreatedOnDate>", '"19##-##-##"^^xsd:date'),
        ("<Mira_Bolano_(cellist)>", "<hasWeight>", '"70"^^<kg>'),  # nobody else weighs anything
        TRIPLES[0],
    ]
    assert built(yagos(tmp_path, TRIPLES + more)).left_out == {
        "triple of a second subject with one name": 1,
        "triple of another relation": 1,
        "triple without a name or value": 1,
        "repeated triple": 1,
        "fact without another object": 1,
        "subject with fewer than 3 facts": 1,
    }


def test_the_class_is_the_type_that_the_triples_name(tmp_path: Path) -> None:
    types = [
        (TRIPLES[0][0], "rdf:type", "<wikicat_cellists>"),
        (TRIPLES[0][0], "rdf:type", CLASSES["Artifact"]),
    ]
    labels = [record["class"] for record in built(yagos(tmp_path, TRIPLES + types)).records]
    assert labels == [CLASSES["Artifact"]] + [CLASSES["Person"]] * (PEOPLE - 1)


def test_n_takes_those_with_the_most_facts_and_seeds_draw(tmp_path: Path) -> None:
    more = [(TRIPLES[4 * i][0], "<livesIn>", f"<{CITIES[i % 2]}>") for i in (3, 5, 6, 8, 10)]
    path = yagos(tmp_path, TRIPLES + more)
    names = [record["subject"]["name"] for record in built(path, n=5).records]
    assert names == [f"Mira {chr(65 + i)}olano" for i in (3, 5, 6, 8, 10)]
    assert built(path) == built(path) != build_stars(read_triples(path), 1)
    with pytest.raises(DatasetError, match="12 subjects are left of 13 subjects"):
        built(path, n=13)
    with pytest.raises(DatasetError, match="cannot build 0 subjects"):
        built(path, n=0)


def test_wikidata_with_labels(tmp_path: Path) -> None:
    entity, prop = "http://www.wikidata.org/entity/", "http://www.wikidata.org/prop/direct/"
    lines = ["# a dump"]
    for i in range(6):
        subject = f"<{entity}Q{100 + i}>"
        lines += [
            f"{subject} <{prop}P19> <{entity}Q{i % 2}> .",
            f"{subject} <{prop}P20> <{entity}Q{(i + 1) % 2}> .",
            f'{subject} <{prop}P569> "+{1970 + i % 2}-01-01T00:00:00Z"^^<http://www.w3.org/2001/XMLSchema#dateTime> .',
            f"{subject} <{prop}P999> <{entity}Q5> .",
        ]
    lines.append(f"<{entity}Q100> <{prop}P69> <{entity}Q77> .")  # without a label
    path = tmp_path / "dump.nt"
    path.write_text("\n".join(lines), encoding="utf-8")
    names = tmp_path / "labels.tsv"
    rows = [f"<{entity}Q{100 + i}>\tIra Voss {i}\tfictional cellist" for i in range(6)] + ["Q0\tLeeds", "Q1\tPorto"]
    names.write_text("\n".join(rows), encoding="utf-8")
    made = built(path, labels=read_labels(names))
    assert made.left_out == {"triple of another relation": 6, "triple without a name or value": 1}
    assert [record["subject"]["name"] for record in made.records] == [f"Ira Voss {i}" for i in range(6)]
    for record in made.records:
        assert record["subject"]["description"] == "fictional cellist"
        born, died, date = record["Star_Topology"]
        assert {born["requested_rewrite"]["target_true"], died["requested_rewrite"]["target_true"]} == {
            "Leeds",
            "Porto",
        }
        assert {date["requested_rewrite"]["target_true"], date["requested_rewrite"]["target_new"]} == {"1970", "1971"}
        assert f"{record['subject']['name']}, fictional cellist, " in born["paraphrase_prompts"][0] + " "


def test_values() -> None:
    assert [clean(text) for text in ("<Głogów_County>", "<de/Alt_(Stadt)>", '"New  [York]"@en', "<(x)>")] == [
        "Głogów County",
        "Alt",
        "New York",
        "x",
    ]
    assert [integer(text) for text in ('"6300"^^<s>', "+12", '"1.84"^^<m>', "-0.2", "many", '""')] == [
        "6300",
        "12",
        "2",
        "0",
        "",
        "",
    ]
    assert [year(text) for text in ('"2012-##-##"^^xsd:date', "1954", "-0044-03-15", '"19##-01-01"', "soon")] == [
        "2012",
        "1954",
        "-44",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"<A>\t<wasBornIn>", "line 2 is no triple"),
        (b"<A>\t<wasBornIn>\t\t", "line 2 is no triple"),
        (b"<A> <wasBornIn> Lund .", "line 2 is no triple"),
        (b"<A>\t<b>\t<c>\t<d>\t<e>\t<f>", "line 2 is no triple"),
        (b"<A>\t<wasBornIn>\t<\xff>", "line 2 is not UTF-8"),
        (b"x" * 1_000_001, "line 2 is longer than"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "bad.tsv"
    path.write_bytes(b"<A>\t<wasBornIn>\t<Lund>\n" + line + b"\n")
    with pytest.raises(DatasetError, match=f"bad.tsv: {message}"):
        list(read_triples(path))


def test_files_without_use_are_refused(tmp_path: Path) -> None:
    for name in ("absent.tsv", "absent\x00.tsv"):
        with pytest.raises(DatasetError, match=r"absent\x00?\.tsv: cannot be read .*; give a text file in UTF-8"):
            list(read_triples(tmp_path / name))
    with pytest.raises(DatasetError, match="0 subjects are left of at least one subject"):
        built(yagos(tmp_path, TRIPLES[:4]))
    labels = tmp_path / "labels.tsv"
    labels.write_text("Q1\n")
    with pytest.raises(DatasetError, match="line 1 has 1 columns"):
        read_labels(labels)
