# SPDX-License-Identifier: Apache-2.0
"""S2RKE (Duan et al. 2025): related knowledge perturbs."""

from __future__ import annotations

from collections.abc import Iterator

from kedit.datasets.sampling import S2RKE_REPEATS
from kedit.experiments.experiment import Claim, Direction, Experiment, Figure, Quantity, Series

__all__ = ["FACTS", "S2RKE"]

EDITS = 4  # facts a run; the paper does not say how many
TOTAL = 12  # facts of a run over densities
LOCATE_THEN_EDIT = {"ROME": "rome", "MEMIT": "memit", "PMET": "pmet"}
OTHERS = {"FT": "ft", "MEND": "mend", "KN": "kn"}
ONE_BY_ONE = ("ROME", "KN")  # appendix C.1
THREE = ("GPT-2 XL", "GPT-J", "LLaMA-2 7B")
FACTS = "facts"  # what tables 1 and 2 count: the world, or a file of one's own


def _series(editors: dict[str, str], protocol: str, mode: str, n: int) -> tuple[Series, ...]:
    parameters = {"mode": mode, "n": n}
    return tuple(Series(label, protocol, editor, parameters=parameters) for label, editor in editors.items())


def _differences(figure: str, labels: Iterator[str] | tuple[str, ...], models: tuple[str, ...]) -> Iterator[Claim]:
    for label in labels:
        sensitive = label in LOCATE_THEN_EDIT
        yield Claim(
            text=f"{label} scores much lower when edits share a subject"
            if sensitive
            else f"{label} is hardly sensitive to shared subjects",
            source=f"section 4.2, {figure}",
            direction="below" if sensitive else "equal",
            left=Quantity("S", label, "same"),
            right=Quantity("S", label, "different"),
            by=0.1,
            published="substantial negative SD (drawn)" if sensitive else "SD near 0 (drawn)",
            models=models,
        )


def _first_suffers(figure: str, labels: tuple[str, ...], models: tuple[str, ...]) -> Iterator[Claim]:
    for label in labels:
        yield Claim(
            text=f"{label}: the first edit scores much lower after a last edit of the same subject",
            source=f"section 4.3, {figure}",
            direction="below",
            left=Quantity("S", label, "homogeneous"),
            right=Quantity("S", label, "heterogeneous"),
            by=0.1,
            published="much lower (drawn)",
            models=models,
        )


def _densities(figure: str, label: str) -> Iterator[Claim]:
    rows: tuple[tuple[str, Direction, float], ...] = (
        ("S", "below", 0.0),
        ("ES", "below", 0.0),
        ("PS", "below", 0.0),
        ("NS", "equal", 0.05),
        ("PPL ratio", "equal", 0.05),
    )
    for metric, direction, by in rows:
        for arm in ("medium", "high"):
            falls = direction == "below"
            yield Claim(
                text=f"{metric} {'falls' if falls else 'stays as it is'} from low to {arm} density",
                source=f"section 3, {figure}",
                direction=direction,
                left=Quantity(metric, label, arm),
                right=Quantity(metric, label, "low"),
                by=by,
                published="decreases (drawn)" if falls else "unchanged (drawn)",
                models=("GPT-J",),
            )


def _density(name: str, item: str, mode: str) -> Experiment:
    return Experiment(
        name=name,
        paper="S2RKE",
        item=item,
        title=f"MEMIT, {mode} editing of as many facts, one, two or three of each subject",
        series=_series({"MEMIT": "memit"}, "density", mode, TOTAL),
        repeats=S2RKE_REPEATS,
        figure=Figure("metrics", ("S", "ES", "PS", "NS", "PPL")),
        claims=tuple(_densities(item, "MEMIT")),
        note=f"{TOTAL} facts a run; the paper draws n without a number and takes CounterFact.",
    )


def _schemes(name: str, item: str, mode: str, editors: dict[str, str]) -> Experiment:
    return Experiment(
        name=name,
        paper="S2RKE",
        item=item,
        title=f"Score when all facts share a subject and when none do, {mode} editing",
        series=_series(editors, "same-and-different", mode, EDITS),
        repeats=S2RKE_REPEATS,
        figure=Figure("bars", ("S", "EM"), "facts"),
        claims=tuple(_differences(item, tuple(editors), THREE)),
        note=f"{EDITS} facts a run; the paper does not say how many. Exact match stands below S, which only asks which "
        "of two objects is likelier. FT is the one of the published runs, without a ball (docs/claims.md).",
    )


def _first(name: str, item: str, mode: str, editors: dict[str, str], models: tuple[str, ...]) -> Experiment:
    return Experiment(
        name=name,
        paper="S2RKE",
        item=item,
        title=f"The first of {EDITS} facts after the last, which shares its subject or not, {mode} editing",
        series=_series(editors, "first-and-last", mode, EDITS),
        repeats=S2RKE_REPEATS,
        figure=Figure("bars", ("S", "EM"), "facts"),
        claims=tuple(_first_suffers(item, tuple(editors), models)),
        note="S is made of the rates of the first facts of all repeats: ES of one fact alone is 0 or 1.",
    )


def _key_pair() -> Experiment:
    modes = {"sequential": "MEMIT, sequential", "batch": "MEMIT, batch"}
    claims = []
    for label in modes.values():
        claims += [
            Claim(
                text=f"{label}: the keys of two facts of one subject have a cosine near 1",
                source="section 5.2, figure 6",
                direction="above",
                left=Quantity("key cosine", label, "same"),
                by=0.99,
                published="approaches 1 (drawn)",
                models=("GPT-J",),
            ),
            Claim(
                text=f"{label}: ES of the first fact is significantly lower when the second shares its subject",
                source="section 5.2, figure 6",
                direction="below",
                left=Quantity("ES of the first", label, "same"),
                right=Quantity("ES of the first", label, "different"),
                by=0.05,
                published="significantly lower (drawn)",
                models=("GPT-J",),
            ),
            Claim(
                text=f"{label}: the more alike the keys, the less probable the first object",
                source="section 5.2, figure 6",
                direction="falling",
                left=Quantity("key cosine", label),
                right=Quantity("probability of the first", label),
                by=0.3,
                published="negative relation (drawn)",
                models=("GPT-J",),
            ),
        ]
    return Experiment(
        name="s2rke-figure-6",
        paper="S2RKE",
        item="figure 6",
        title="Cosine of two keys against what becomes of the first of two edits",
        series=tuple(Series(label, "key-pair", "memit", parameters={"mode": mode}) for mode, label in modes.items()),
        repeats=S2RKE_REPEATS,
        figure=Figure("scatter", ("key cosine", "probability of the first")),
        claims=tuple(claims),
        note="ES of one fact is 0 or 1, so the figure shows the probability of its new object.",
    )


def _counted(name: str, item: str, title: str) -> Experiment:
    return Experiment(
        name=name,
        paper="S2RKE",
        item=item,
        title=title,
        series=(Series(FACTS, "counts"),),
        repeats=1,
        models=("tiny-gpt2", "tiny-llama"),
        figure=Figure("bars", ("edits", "subjects", "records per subject")),
        claims=(),
        note="The tiny world in the benchmark's own form; give the published file with --facts for its counts.",
    )


_BATCH = {label: editor for label, editor in (LOCATE_THEN_EDIT | OTHERS).items() if label not in ONE_BY_ONE}
_MAINSTREAM = {label: editor for label, editor in LOCATE_THEN_EDIT.items() if label not in ONE_BY_ONE}

S2RKE: tuple[Experiment, ...] = (
    _density("s2rke-figure-2", "figure 2", "sequential"),
    _schemes("s2rke-figure-3", "figure 3", "sequential", LOCATE_THEN_EDIT | OTHERS),
    _first("s2rke-figure-4", "figure 4", "sequential", LOCATE_THEN_EDIT, ("GPT-2 XL", "GPT-J")),
    _key_pair(),
    _first("s2rke-figure-7", "figure 7", "sequential", LOCATE_THEN_EDIT, ("LLaMA-2 7B",)),
    _density("s2rke-figure-8a", "figure 8a", "batch"),
    _schemes("s2rke-figure-8b", "figure 8b", "batch", _BATCH),
    _first("s2rke-figure-8c", "figure 8c", "batch", _MAINSTREAM, THREE),
    _counted("s2rke-table-1", "table 1", "Records, subjects and relations"),
    _counted("s2rke-table-2", "table 2", "Subjects, relations and edits by category"),
)
