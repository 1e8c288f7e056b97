# SPDX-License-Identifier: Apache-2.0
"""`kedit log`, `kedit diff`, `kedit evaluate` and `kedit export`: commands that leave a session as it is."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from kedit.commands.answers import (
    Answer,
    fact_data,
    fact_line,
    load_session,
    model_of,
    plural,
    session_facts,
)
from kedit.fact_files import read_facts
from kedit.facts import Fact
from kedit.metrics.evaluation import evaluate as measure
from kedit.metrics.norms import frobenius_norm, numerical_rank, relative_change
from kedit.models.language_model import LanguageModel
from kedit.sessions import EditSession, read_history
from kedit.sessions.folders import read_manifest

__all__ = ["diff", "evaluate", "export", "log"]

RANK_CUTOFF = 1e-4


def log(options: Namespace) -> Answer:
    """The history, oldest first; no model is loaded."""
    manifest, history = read_history(options.session)
    entries = [
        {
            "number": entry.number,
            "committed": entry.committed,
            "editor": entry.editor,
            "config": entry.config,
            "seed": entry.seed,
            "notes": entry.notes,
            "sizes": entry.sizes,
            "facts": [fact_data(fact) for fact in entry.facts],
        }
        for entry in history
    ]
    data = {
        "session": options.session,
        "editor": manifest.editor,
        "model": manifest.source or manifest.model,
        "origin": manifest.origin,
        "entries": entries,
    }
    lines = [f"{manifest.editor} on {manifest.source or manifest.model}: {plural(len(history), 'update')}"]
    for entry in history:
        size = sum(value**2 for value in entry.sizes.values()) ** 0.5
        mark = ", committed" if entry.committed else ""
        lines.append(f"{entry.number:4}  {entry.editor}, seed {entry.seed}, change of norm {size:.4g}{mark}")
        lines += [f"      {fact_line(fact)}" for fact in entry.facts]
    return Answer(data, lines)


def diff(options: Namespace) -> Answer:
    """How far each changed parameter is from the unedited model, and the facts that moved it."""
    session = load_session(options)
    rows = [_moved(name, session.model.parameter(name).detach(), base) for name, base in session.base_weights.items()]
    facts = [fact for entry in session.history for fact in entry.facts]
    data = {
        "session": options.session,
        "rank_cutoff": RANK_CUTOFF,
        "parameters": rows,
        "memory": None if session.model.memory is None else type(session.model.memory).__name__,
        "facts": [fact_data(fact) for fact in facts],
    }
    lines = [
        f"{row['parameter']}: norm {row['norm']:.4g}, relative {row['relative']:.4g}, rank {row['rank']}, "
        f"{row['changed']} of {row['entries']} entries"
        for row in rows
    ]
    if data["memory"]:
        lines.append(f"beside the weights: {data['memory']}")
    return Answer(data, [*(lines or ["no parameter is changed"]), *(f"  {fact_line(fact)}" for fact in facts)])


def _moved(name: str, now: Tensor, base: Tensor) -> dict[str, Any]:
    change = now.double() - base.double()
    return {
        "parameter": name,
        "norm": frobenius_norm(change),
        "relative": relative_change(now, base),
        "rank": numerical_rank(change, RANK_CUTOFF),
        "changed": int((now != base).sum()),
        "entries": now.numel(),
    }


def evaluate(options: Namespace) -> Answer:
    """ES, PS, NS and exact match of the unedited and of the edited model on the same facts."""
    manifest, _ = read_manifest(Path(options.session))
    facts, superseded = session_facts(options.session) if options.facts is None else (read_facts(options.facts), 0)
    model = model_of(manifest, options)
    before = _measured(model, facts)
    EditSession.load(options.session, model)
    after = _measured(model, facts)
    data = {
        "session": options.session,
        "facts": len(facts),
        "superseded": superseded,
        "before": before,
        "after": after,
    }
    lines = [f"{'':4}{'before':>8}{'after':>8}   {plural(len(facts), 'fact')}"]
    lines += [f"{name:4}{_cell(before[name]):>8}{_cell(after[name]):>8}" for name in before]
    lines += [
        f"{name}: not measured, no fact has {field}"
        for name, field in (("PS", "paraphrases"), ("NS", "neighborhood"))
        if before[name] is None
    ]
    if superseded:
        lines.append(f"{plural(superseded, 'fact')} left out: a later edit of the session is on the same prompt")
    return Answer(data, lines)


def _measured(model: LanguageModel, facts: Sequence[Fact]) -> dict[str, float | None]:
    """The metrics; None where no fact has the prompts for one."""
    paraphrases = any(fact.paraphrases for fact in facts)
    neighborhood = any(fact.neighborhood for fact in facts)
    found = measure(model, facts, paraphrases=paraphrases, neighborhood=neighborhood)
    return {
        "ES": found.es,
        "PS": found.ps if paraphrases else None,
        "NS": found.ns if neighborhood else None,
        "EM": found.em,
    }


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def export(options: Namespace) -> Answer:
    """The edited model as a plain Hugging Face folder."""
    session = load_session(options)
    session.model.save(options.folder)
    fingerprint = session.model.fingerprint()
    return Answer(
        {"session": options.session, "folder": options.folder, "fingerprint": fingerprint},
        [f"wrote {session.model.name} with {plural(len(session.history), 'update')} to {options.folder}"],
    )
