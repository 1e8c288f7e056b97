# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from kedit.experiments.experiment import ExperimentError
from kedit.experiments.published import Published, published, read_published, renamed
from kedit.paths import fixtures_dir

HEADER = "paper,item,row,model,series,arm,place,metric,value,unit,note\n"


def value(rows: tuple[Published, ...], **names: object) -> float:
    (row,) = [row for row in rows if all(getattr(row, name) == wanted for name, wanted in names.items())]
    return row.value


@pytest.mark.parametrize(
    ("paper", "item", "count"),
    [
        ("S2RKE", "table 1", 6 * 2),
        ("S2RKE", "table 2", 7 * 4),
        ("MEMIT-Merge", "table 1", 4 * 2 * 4 * 3),
        ("MEMIT-Merge", "table 2", 4),
        ("D4S", "table 2", 2 * 6 * 3 * 4),
        ("D4S", "table 3", 2 * (5 + 4) * 4),  # GRACE has no MQuAKE
        ("D4S", "table 4", 2 * 5),
        ("S2RKE", "figure 3", 0),
    ],
)
def test_every_number_of_an_item_is_there(paper: str, item: str, count: int) -> None:
    assert len(published(paper, item)) == count


def test_the_classes_of_s2rke_add_up_where_they_should() -> None:
    rows = published("S2RKE", "table 2")
    sums: dict[str, float] = defaultdict(float)
    for row in rows:
        if row.series != "All":
            sums[row.metric] += row.value
    assert sums["Edits"] == value(rows, series="All", metric="Edits") == 22064
    assert sums["Subjects"] == 4648 and value(rows, series="All", metric="Subjects") == 4503
    assert value(published("S2RKE", "section B.2"), metric="Subjects") == 3704
    noted = [row for row in rows if row.series == "All" and row.metric == "Subjects"]
    assert "4648" in noted[0].note
    strange = set()
    for series in {row.series for row in rows}:
        quotient = value(rows, series=series, metric="Edits") / value(rows, series=series, metric="Subjects")
        if abs(quotient - value(rows, series=series, metric="Edits per subject")) > 0.051:
            strange.add(series)
    assert strange == {"Building", "GeoEntity"}  # printed in exchange
    assert all(row.note for row in rows if row.series in strange and row.metric == "Edits per subject")


def test_the_averages_of_d4s_are_the_means_of_the_three_but_for_those_noted() -> None:
    rows = published("D4S", "table 2") + published("D4S", "table 3")
    groups: dict[tuple[str, str], dict[str, Published]] = defaultdict(dict)
    for row in rows:
        groups[row.item, row.row][row.metric] = row
    strange = {}
    for name, group in groups.items():
        mean = sum(group[metric].value for metric in ("Eff", "Par", "Spe")) / 3
        if abs(mean - group["Avg"].value) > 0.005 + 1e-9 and name[1] != "GPT, GRACE, Edits = 100":  # 66.8, one digit
            strange[name[1]] = (group["Avg"].value, round(mean, 2))
            assert f"{mean:.2f}" in group["Avg"].note
        else:
            assert not group["Avg"].note
    assert strange == {
        "Llama, FT, Edits = 1000": (12.00, 11.99),
        "Llama, MEMIT, Edits = 1000": (2.82, 2.81),
        "GPT, FT, Edits = 1000": (3.77, 3.76),
        "GPT, D4S(ours), Edits = 1000": (88.77, 85.77),
        "Llama, ROME, CounterFact": (16.50, 16.51),
        "Llama, ROME, MQuAKE": (52.97, 52.98),
    }


def test_known_cells() -> None:
    merge = published("MEMIT-Merge", "table 1")
    assert value(merge, model="GPT-J-6B", series="MEMIT", arm="same", metric="Efficacy") == 0.27
    assert value(merge, model="Llama-3-8B-Instruct", series="PMET", arm="distinct", metric="Specificity") == 0.92
    assert {row.place for row in merge} == {100}
    d4s = published("D4S", "table 2")
    assert value(d4s, model="Llama-2-7B", series="GRACE", place=1000, metric="Spe") == 99.77
    assert value(d4s, model="GPT-J-6B", series="MEMIT", place=500, metric="Par") == 76.15
    assert value(published("D4S", "table 4"), metric="winogrande", place=10_000) == 68.75
    assert [row.value for row in published("D4S", "section 3.2") if row.metric == "PPL"] == [12.3, 43.3, 297.4]
    assert value(published("D4S", "section 3.3"), series="DG", metric="Target length") == 3.88
    figure = published("D4S", "figure 5")
    assert [value(figure, series=name) for name in ("ROME", "MEMIT")] == [100, 850]


def test_percent_becomes_a_share_and_names_become_those_of_an_experiment() -> None:
    (row, *_) = published("D4S", "table 2")
    assert (row.value, row.share) == (30.47, pytest.approx(0.3047))
    (new,) = renamed([row], series={"FT": "FT-L"}, metric={"Eff": "EM"}, place={100: 10}, arm={"": "a"})
    assert (new.series, new.metric, new.place, new.arm, new.value) == ("FT-L", "EM", 10, "a", row.value)
    assert renamed([row]) == (row,)


def test_every_file_belongs_to_a_paper() -> None:
    assert {path.name for path in (fixtures_dir() / "published").iterdir()} == {
        "s2rke.csv",
        "memit-merge.csv",
        "d4s.csv",
    }
    with pytest.raises(ExperimentError, match="no published numbers of 'kedit'; name one of S2RKE"):
        published("kedit", "table 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("paper,item\n", "line 1: the columns are not paper, item"),
        (HEADER + "D4S,table 2\n", "line 2: 2 cells instead of 11"),
        (HEADER + "D4S,table 2,r,,s,,,,1,%,\n", "line 2: metric is empty"),
        (HEADER + "D4S,table 2,r,,s,,,m,much,%,\n", "line 2: could not convert"),
        (HEADER + "D4S,table 2,r,,s,,1.5,m,1,%,\n", "line 2: invalid literal"),
        (HEADER + "D4S,table 2,r,,s,,,m,nan,%,\n", "line 2: the value is nan"),
        (HEADER + "D4S,table 2,r,,s,,,m,1,%,\n" * 2, "line 3: the number of line 2 again"),
        (HEADER + 'D4S,"table 2\n', "cannot be read as CSV"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "published.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExperimentError, match=message):
        read_published(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ExperimentError, match="cannot be read as CSV"):
        read_published(path)
