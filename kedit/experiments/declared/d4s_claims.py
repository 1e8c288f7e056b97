# SPDX-License-Identifier: Apache-2.0
"""What D4S (Huang et al. 2024) concludes from its figures and tables."""

from __future__ import annotations

from kedit.experiments.experiment import Claim, Direction, Quantity

__all__ = [
    "CHECKPOINTS",
    "COUNTERFACT",
    "EDITS",
    "FIGURE_2",
    "FIGURE_3",
    "FIGURE_4",
    "FIGURE_5",
    "FIGURE_6",
    "FIGURE_8",
    "MQUAKE",
    "OTHER_EDITS",
    "RETURNING",
    "TABLE_2",
    "TABLE_3",
    "TABLE_4",
    "TYPED",
]

EDITS = 200  # the paper goes to 1,000 and 10,000; the tiny world has 250 subjects
CHECKPOINTS = (20, 50, 100, 150, 200)  # 20, 100 and 200 stand for the paper's 100, 500 and 1,000
BLOCK = 20  # the first block of the protocol `long-sequence` ends there
OTHER_EDITS = 60
TYPED = 20
BOTH = ("GPT-J", "LLaMA-2 7B")
COUNTERFACT, MQUAKE, RETURNING = "CounterFact", "MQuAKE", "returning"  # the data of table 3, and one of our own
GPTJ = ("GPT-J",)


def _end(metric: str, label: str, place: int = EDITS, arm: str = "overall") -> Quantity:
    return Quantity(metric, label, arm, place)


def _claim(
    text: str,
    source: str,
    direction: Direction,
    left: Quantity,
    right: Quantity | None,
    by: float,
    published: str,
    models: tuple[str, ...],
) -> Claim:
    return Claim(text, source, direction, left, right, by, published, models)


def _kept_well(label: str, published: str) -> tuple[Claim, ...]:
    """What table 2 says of an editor at the end of the sequence, against MEMIT."""
    return tuple(
        _claim(
            f"{label} has a higher {what} than MEMIT after the whole sequence",
            "section 5.1, table 2",
            "above",
            _end(metric, label),
            _end(metric, "MEMIT"),
            0.0,
            published,
            BOTH,
        )
        for what, metric in (("efficacy", "EM"), ("paraphrase score", "PAR"), ("specificity", "SPE"))
    )


FIGURE_2 = (
    _claim(
        "KN degrades the model with a single edit",
        "section 3.1, figure 2",
        "below",
        Quantity("CHOICE", "KN", "DG", 1),
        Quantity("CHOICE", "KN", "DG", 0),
        0.05,
        "substantially degrades (drawn)",
        BOTH,
    ),
    *(
        _claim(
            f"{label} does not degrade the model at first",
            "section 3.1, figure 2",
            "above",
            Quantity("CHOICE", label, "DG", TYPED),
            Quantity("CHOICE", label, "DG", 0),
            -0.05,
            f"{published} (drawn)",
            BOTH,
        )
        for label, published in (("ROME", "no significant decline to 1,000"), ("MEMIT", "stable to 2,000"))
    ),
    *(
        _claim(
            f"{label} degrades the model less with yes or no than with generated objects",
            "section 3.1, figure 2 (20Q against the others)",
            "above",
            Quantity("CHOICE", label, "T/F", TYPED),
            Quantity("CHOICE", label, "DG", TYPED),
            0.0,
            "less pronounced (drawn)",
            BOTH,
        )
        for label in ("ROME", "MEMIT")
    ),
)

_OTHER_TYPES = (("MQ", "letters of a choice"), ("T/F", "yes or no"))

FIGURE_3 = (
    *(
        _claim(
            f"generated objects harm the model more than {what}",
            "section 3.3, figure 3",
            "below",
            Quantity("CHOICE", "ROME", "DG", TYPED),
            Quantity("CHOICE", "ROME", arm, TYPED),
            0.0,
            "most significant damage (drawn)",
            GPTJ,
        )
        for arm, what in _OTHER_TYPES
    ),
    *(
        _claim(
            f"generated objects enlarge the edited layer more than {what}",
            "section 3.3",
            "above",
            Quantity("L1 growth", "ROME", "DG", TYPED),
            Quantity("L1 growth", "ROME", arm, TYPED),
            0.0,
            "the higher the perplexity, the larger the norm",
            GPTJ,
        )
        for arm, what in _OTHER_TYPES
    ),
    *(
        _claim(
            f"generated objects have a higher perplexity as targets than {what}",
            "section 3.2 and 3.3",
            "above",
            Quantity("target PPL", "ROME", "DG", 0),
            Quantity("target PPL", "ROME", arm, 0),
            0.0,
            "12.3 (DG), 43.3 (MQ), 297.4 (T/F) as printed; the conclusion needs the reverse order",
            GPTJ,
        )
        for arm, what in _OTHER_TYPES
    ),
    *(
        _claim(
            f"generated objects are longer targets than {what}",
            "section 3.3",
            "above",
            Quantity("target tokens", "ROME", "DG", 0),
            Quantity("target tokens", "ROME", arm, 0),
            0.0,
            "3.88 tokens against 1 and 1",
            GPTJ,
        )
        for arm, what in _OTHER_TYPES
    ),
)

FIGURE_4 = (
    _claim(
        "ROME has forgotten nearly everything when all edits so far are asked",
        "section 4.1, figure 4",
        "below",
        _end("EM", "ROME", 100),
        None,
        -0.1,
        "0.04 at most",
        GPTJ,
    ),
    _claim(
        "MEMIT falls from near 1 to 0 as edits go on",
        "section 4.1, figure 4",
        "below",
        _end("EM", "MEMIT"),
        _end("EM", "MEMIT", CHECKPOINTS[0]),
        0.5,
        "from near 1.0 to 0.0 at 1,000",
        GPTJ,
    ),
    _claim(
        "MEMIT forgets more the more edits follow",
        "section 4.1, figure 4",
        "below",
        _end("EM", "MEMIT"),
        _end("EM", "MEMIT", CHECKPOINTS[0]),
        0.0,
        "increasingly severe (drawn)",
        GPTJ,
    ),
    *(
        _claim(
            f"after the whole sequence {label} has forgotten the block edited {which}",
            "section 4.1, figure 4 (degree of forgetting)",
            "below",
            Quantity("EM", label, "kept", block),
            None,
            -0.3,
            published,
            GPTJ,
        )
        for label, published in (("ROME", "always low (drawn)"), ("MEMIT", "0 in most blocks (drawn)"))
        for which, block in (("first", BLOCK), ("last", EDITS))
    ),
)

FIGURE_5 = (
    *(
        _claim(
            f"{label} reaches lower probabilities late in the sequence, right after each edit",
            "section 4.2, figure 5a",
            "below",
            Quantity("probability", label, "late", EDITS),
            Quantity("probability", label, "early", EDITS),
            0.1,
            published,
            GPTJ,
        )
        for label, published in (
            ("ROME", "100 effective edits"),
            ("MEMIT", "850 effective edits, then near 0"),
        )
    ),
    *(
        _claim(
            f"the norm of the edited layers grows with {label}'s edits",
            "section 4.2, figures 5b and 5c",
            "above",
            _end("L1 growth", label),
            _end("L1 growth", label, 0),
            0.1,
            "explosive (drawn)",
            GPTJ,
        )
        for label in ("ROME", "MEMIT")
    ),
    *(
        _claim(
            f"the larger the norm, the lower the efficacy over all edits ({label})",
            "section 4.2",
            "falling",
            Quantity("L1 growth", label, "overall"),
            Quantity("EM", label, "overall"),
            0.3,
            "strong correlation",
            GPTJ,
        )
        for label in ("ROME", "MEMIT")
    ),
)

FIGURE_6 = (
    _claim(
        "the norm of D4S does not increase",
        "section 5.2, figure 6",
        "below",
        _end("L1 growth", "D4S"),
        _end("L1 growth", "D4S", 0),
        -0.1,
        "no increase after 10,000 edits (drawn)",
        GPTJ,
    ),
    _claim(
        "the norm of D4S is smaller than MEMIT's",
        "section 4.3.3 and figure 6",
        "below",
        _end("L1 growth", "D4S"),
        _end("L1 growth", "MEMIT"),
        0.0,
        "smaller (drawn)",
        GPTJ,
    ),
    _claim(
        "downstream performance declines only slightly with D4S",
        "section 5.2, figure 6",
        "above",
        _end("CHOICE", "D4S"),
        _end("CHOICE", "D4S", 0),
        -0.05,
        "slight decline after 10,000 edits (drawn)",
        GPTJ,
    ),
)

FIGURE_8 = tuple(
    _claim(
        f"D4S keeps a higher {what} than MEMIT {when}",
        "appendix E, figure 8",
        "above",
        _end(metric, "D4S", place),
        _end(metric, "MEMIT", place),
        0.0,
        "higher (drawn)",
        BOTH,
    )
    for when, place in (("half way", CHECKPOINTS[2]), ("at the end", EDITS))
    for what, metric in (("efficacy", "EM"), ("paraphrase score", "PAR"), ("specificity", "SPE"))
)

TABLE_2 = (
    *_kept_well("D4S", "GPT-J 96.0 / 91.2 / 70.2, LLaMA-2 87.4 / 79.3 / 79.0; MEMIT 0.0 and 2.9 / 2.9 / 2.7"),
    _claim(
        "PMET keeps nothing even after the fewest edits",
        "section 5.1, table 2",
        "below",
        _end("EM", "PMET", CHECKPOINTS[0]),
        None,
        -0.1,
        "0.24 and 0.33 per cent at 100",
        BOTH,
    ),
    _claim(
        "ROME keeps little at the end",
        "section 5.1, table 2",
        "below",
        _end("EM", "ROME"),
        None,
        -0.3,
        "21.8 and 2.4 per cent at 1,000",
        BOTH,
    ),
    _claim(
        "FT keeps little at the end",
        "section 5.1, table 2",
        "below",
        _end("EM", "FT"),
        None,
        -0.3,
        "16.1 and 7.0 per cent at 1,000",
        BOTH,
    ),
    _claim(
        "GRACE keeps its edits and answers no paraphrase",
        "section 5.1, table 2",
        "below",
        _end("PAR", "GRACE"),
        _end("EM", "GRACE"),
        0.8,
        "98.9 and 100.0 efficacy, 0.35 and 0.07 paraphrase",
        BOTH,
    ),
    _claim(
        "MEMIT keeps its edits well at the fewest edits",
        "section 5.1, table 2",
        "above",
        _end("EM", "MEMIT", CHECKPOINTS[0]),
        None,
        0.9,
        "93.0 and 98.3 per cent at 100",
        BOTH,
    ),
)

TABLE_3 = (
    *(
        _claim(
            f"D4S has a higher {what} than MEMIT on {data}",
            "appendix D, table 3",
            "above",
            Quantity(metric, f"D4S, {data}", "overall", place),
            Quantity(metric, f"MEMIT, {data}", "overall", place),
            0.0,
            published,
            BOTH,
        )
        for data, place, published in (
            (
                COUNTERFACT,
                EDITS,
                "99.1 / 47.0 / 63.7 and 96.7 / 46.7 / 72.5; MEMIT 86.2 / 59.5 / 31.3 and 0.0 / 0.0 / 6.7",
            ),
            (MQUAKE, OTHER_EDITS, "97.4 / 75.5 / 21.8 and 85.3 / 72.7 / 28.2; MEMIT 0.0"),
        )
        for what, metric in (("efficacy", "EM"), ("specificity", "SPE"))
    ),
    _claim(
        "D4S has a higher efficacy than MEMIT where subjects return",
        "not in the paper",
        "above",
        Quantity("EM", f"D4S, {RETURNING}", "overall", OTHER_EDITS),
        Quantity("EM", f"MEMIT, {RETURNING}", "overall", OTHER_EDITS),
        0.0,
        "not measured there",
        (),
    ),
)

TABLE_4 = (
    _claim(
        "downstream performance declines by a few points at most",
        "appendix F, table 4",
        "above",
        _end("CHOICE", "D4S"),
        _end("CHOICE", "D4S", 0),
        -0.05,
        "-0.93, -4.15, -1.59, -0.41, -0.39 points after 10,000 edits",
        ("LLaMA-2 7B",),
    ),
)
