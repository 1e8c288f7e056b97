# SPDX-License-Identifier: Apache-2.0
"""MEMIT-Merge (Dong et al. 2025): one value for facts with one key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kedit.experiments.experiment import Claim, Experiment, Figure, Quantity, Series

__all__ = ["MERGE"]

REPEATS = 10
SIZES = (1, 2, 4, 8, 12)  # the paper goes to 100; no subject of the tiny world has more than 16 facts
LARGEST = SIZES[-1]
PAIRED = 8  # facts of a batch whose key distance is measured
FOUR = {"FT": "ft", "FT-L": "ft-l", "MEMIT": "memit", "PMET": "pmet", "MEMIT-Merge": "memit-merge"}
TWO = {"MEMIT": "memit", "MEMIT-Merge": "memit-merge"}
FIRST, RELATION = "subject-first", "relation-first"
EFFICACY = "EM"  # "the edited model produces the correct answer"


def _series(editors: Mapping[str, str], sizes: Sequence[int], phrase: str = FIRST) -> tuple[Series, ...]:
    return tuple(
        Series(label, "paired-batch", editor, parameters={"n": n, "phrase": phrase})
        for label, editor in editors.items()
        for n in sizes
    )


def _at(label: str, arm: str, place: int, metric: str = EFFICACY) -> Quantity:
    return Quantity(metric, label, arm, place)


def _memit_drops(figure: str, models: tuple[str, ...]) -> tuple[Claim, ...]:
    return (
        Claim(
            text="MEMIT drops at two facts of one subject",
            source=f"section 3.2, {figure}",
            direction="below",
            left=_at("MEMIT", "same", 2),
            right=_at("MEMIT", "distinct", 2),
            by=0.1,
            published="drops sharply at 2 (drawn)",
            models=models,
        ),
        Claim(
            text="MEMIT keeps less than half of the largest batch of one subject",
            source=f"section 3.2, {figure}",
            direction="below",
            left=_at("MEMIT", "same", LARGEST),
            by=-0.5,
            published="below 50 % at 10",
            models=models,
        ),
        Claim(
            text="MEMIT does not decline with the batch when subjects are distinct",
            source=f"section 3.2, {figure}",
            direction="above",
            left=_at("MEMIT", "distinct", LARGEST),
            right=_at("MEMIT", "distinct", 1),
            by=-0.1,
            published="no impact (drawn)",
            models=models,
        ),
    )


def _merge_keeps(figure: str, models: tuple[str, ...]) -> tuple[Claim, ...]:
    return (
        *(
            Claim(
                text=f"MEMIT-Merge edits {what} of one subject much better than MEMIT",
                source=f"section 5.4, {figure}",
                direction="above",
                left=_at("MEMIT-Merge", "same", size),
                right=_at("MEMIT", "same", size),
                by=0.1,
                published="much higher (drawn)",
                models=models,
            )
            for size, what in ((2, "two facts"), (8, "about ten facts"), (LARGEST, "the largest batch"))
        ),
        Claim(
            text="MEMIT-Merge keeps more than nine tenths of about ten facts of one subject",
            source="abstract, where MEMIT has lost half",
            direction="above",
            left=_at("MEMIT-Merge", "same", 8),
            by=0.9,
            published="over 90 % in the abstract, 0.51 to 0.71 at 100 facts in table 1",
            models=models,
        ),
        Claim(
            text="MEMIT-Merge does as MEMIT when subjects are distinct",
            source=f"section 5.4, {figure}",
            direction="equal",
            left=_at("MEMIT-Merge", "distinct", LARGEST),
            right=_at("MEMIT", "distinct", LARGEST),
            by=0.05,
            published="no decline in either (drawn)",
            models=models,
        ),
    )


def _only_memit_suffers(figure: str, models: tuple[str, ...]) -> tuple[Claim, ...]:
    return tuple(
        Claim(
            text=f"{label} declines with the number of facts of one subject"
            if falls
            else f"{label} does not decline with the number of facts of one subject",
            source=f"appendix C, {figure}",
            direction="below" if falls else "above",
            left=_at(label, "same", LARGEST),
            right=_at(label, "same", 1),
            by=0.1 if falls else -0.1,
            published="declines (drawn)" if falls else "does not (drawn)",
            models=models,
        )
        for label, falls in (("MEMIT", True), ("PMET", True), ("FT", False), ("FT-L", False))
    )


def _table_1() -> tuple[Claim, ...]:
    claims = [
        Claim(
            text="MEMIT-Merge has a higher efficacy than MEMIT on one subject",
            source="section 5.3, table 1",
            direction="above",
            left=_at("MEMIT-Merge", "same", LARGEST),
            right=_at("MEMIT", "same", LARGEST),
            by=0.1,
            published="0.55 / 0.30, 0.51 / 0.27, 0.71 / 0.38, 0.67 / 0.31",
        ),
        Claim(
            text="MEMIT-Merge has a higher paraphrase score than MEMIT on one subject",
            source="section 5.3, table 1",
            direction="above",
            left=_at("MEMIT-Merge", "same", LARGEST, "PAR"),
            right=_at("MEMIT", "same", LARGEST, "PAR"),
            by=0.05,
            published="0.36 / 0.24, 0.32 / 0.21, 0.44 / 0.29, 0.43 / 0.25",
        ),
        Claim(
            text="MEMIT's specificity on one subject is higher than on distinct ones, because its edits fail",
            source="section 5.3, table 1",
            direction="above",
            left=_at("MEMIT", "same", LARGEST, "SPE"),
            right=_at("MEMIT", "distinct", LARGEST, "SPE"),
            by=0.0,
            published="1.00 / 0.90, 1.00 / 0.93, 0.98 / 0.82, 1.00 / 0.91",
        ),
        Claim(
            text="PMET declines when subjects are the same",
            source="section 5.3, table 1",
            direction="below",
            left=_at("PMET", "same", LARGEST),
            right=_at("PMET", "distinct", LARGEST),
            by=0.1,
            published="0.23 / 0.51, 0.26 / 0.25, 0.23 / 0.46, 0.23 / 0.52",
        ),
    ]
    claims += [
        Claim(
            text=f"{label} does not decline when subjects are the same",
            source="section 5.3, table 1",
            direction="above",
            left=_at(label, "same", LARGEST),
            right=_at(label, "distinct", LARGEST),
            by=-0.1,
            published="0.26 / 0.23, 0.52 / 0.47, 0.67 / 0.73, 0.28 / 0.23",
        )
        for label in ("FT", "FT-L")
    ]
    return tuple(claims)


def _curve(
    name: str,
    item: str,
    title: str,
    editors: Mapping[str, str],
    claims: tuple[Claim, ...],
    note: str = "",
    arms: tuple[str, ...] = (),
) -> Experiment:
    return Experiment(
        name=name,
        paper="MEMIT-Merge",
        item=item,
        title=title,
        series=_series(editors, SIZES),
        repeats=REPEATS,
        figure=Figure("lines", (EFFICACY,), "facts in the batch", arms),
        claims=claims,
        note=note or f"Batches up to {LARGEST} facts, the paper's go to 100.",
    )


def _distances() -> tuple[Series, ...]:
    return tuple(
        Series(label, "paired-batch", "memit", parameters={"n": PAIRED, "phrase": phrase})
        for label, phrase in (("subject first", FIRST), ("relation first", RELATION))
    )


_BOTH = "MEMIT and MEMIT-Merge, facts of one subject and of as many, by batch size"

MERGE: tuple[Experiment, ...] = (
    _curve(
        "merge-figure-1",
        "figure 1",
        "MEMIT, facts of one subject and of as many, by batch size",
        {"MEMIT": "memit"},
        _memit_drops("figure 1", ("Qwen2.5-1.5B-Instruct",)),
    ),
    Experiment(
        name="merge-figure-3",
        paper="MEMIT-Merge",
        item="figure 3",
        title="Efficacy of MEMIT against the distance of the keys in a batch",
        series=_distances(),
        repeats=REPEATS,
        figure=Figure("scatter", ("AKD", EFFICACY)),
        claims=(
            Claim(
                text="the nearer the keys, the lower the efficacy",
                source="section 4.1, figure 3",
                direction="rising",
                left=Quantity("AKD", "*"),
                right=Quantity(EFFICACY, "*"),
                by=0.3,
                published="AKD 0, 10, 25: efficacy rises (drawn)",
                models=("Qwen2.5-1.5B-Instruct",),
            ),
            Claim(
                text="one subject behind different words is edited better than behind the same words",
                source="section 4.1, figure 3",
                direction="above",
                left=_at("relation first", "same", 8),
                right=_at("subject first", "same", 8),
                by=0.05,
                published="AKD 10.5 above AKD 0 (drawn)",
                models=("Qwen2.5-1.5B-Instruct",),
            ),
        ),
        note="8 facts a batch; two phrasings give three distances, as in appendix B.",
    ),
    _curve("merge-figure-4", "figure 4", _BOTH, TWO, _merge_keeps("figure 4", ("GPT-J-6B",))),
    _curve(
        "merge-figure-5",
        "figure 5",
        _BOTH,
        TWO,
        _memit_drops("figure 5", ("Qwen2.5-7B-Instruct", "Llama-3-8B-Instruct"))
        + _merge_keeps("figure 5", ("Qwen2.5-7B-Instruct", "Llama-3-8B-Instruct")),
    ),
    _curve(
        "merge-figure-6",
        "figure 6",
        "Facts of one subject by batch size, all editors",
        FOUR,
        _only_memit_suffers("figure 6", ("Qwen2.5-1.5B-Instruct",)),
        "FT is the paper's FT-L as it was run, without a ball; FT-L is the one with a ball (docs/claims.md).",
        ("same",),
    ),
    _curve(
        "merge-figure-7",
        "figure 7",
        "Facts of one subject by batch size, all editors",
        FOUR,
        _only_memit_suffers("figure 7", ("Llama-3-8B-Instruct",)),
        "FT is the paper's FT-L as it was run, without a ball; FT-L is the one with a ball (docs/claims.md).",
        ("same",),
    ),
    Experiment(
        name="merge-table-1",
        paper="MEMIT-Merge",
        item="table 1",
        title="Efficacy, paraphrase and specificity of the largest batch",
        series=_series(FOUR, (LARGEST,)),
        repeats=REPEATS,
        figure=Figure("bars", (EFFICACY, "PAR", "SPE"), "facts in the batch"),
        claims=_table_1(),
        note=f"{LARGEST} facts, the paper has 100. Its efficacy is token accuracy (an unedited model scores 0.2 to "
        "0.25); ours is exact match.",
    ),
    Experiment(
        name="merge-table-2",
        paper="MEMIT-Merge",
        item="table 2",
        title="Mean distance of the keys of a batch, by phrasing",
        series=_distances(),
        repeats=REPEATS,
        figure=Figure("bars", ("AKD",)),
        claims=(
            Claim(
                text="one subject behind the same words has one key",
                source="appendix B, table 2",
                direction="equal",
                left=Quantity("AKD", "subject first", "same"),
                by=1e-6,
                published="0.0",
                models=("Qwen2.5-1.5B-Instruct",),
            ),
            Claim(
                text="one subject behind different words has keys apart, but less than distinct subjects have",
                source="appendix B, table 2",
                direction="below",
                left=Quantity("AKD", "relation first", "same"),
                right=Quantity("AKD", "relation first", "distinct"),
                published="10.5 against 26.2",
                models=("Qwen2.5-1.5B-Instruct",),
            ),
            Claim(
                text="one subject behind different words has keys apart",
                source="appendix B, table 2",
                direction="above",
                left=Quantity("AKD", "relation first", "same"),
                published="10.5",
                models=("Qwen2.5-1.5B-Instruct",),
            ),
        ),
        note="8 facts a batch. Units are those of the model's keys, which differ between models.",
    ),
)
