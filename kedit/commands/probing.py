# SPDX-License-Identifier: Apache-2.0
"""`kedit probe`: what to know of a model before it is edited."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kedit.commands.answers import Answer, load_model, plural
from kedit.commands.progress import Progress
from kedit.facts import Fact
from kedit.models.language_model import LanguageModel
from kedit.models.weights import locate_model
from kedit.probing import (
    Finding,
    LayerKeys,
    ProbeError,
    Recommendation,
    TraceConfig,
    Tracing,
    check_hooks,
    check_keys,
    check_tokenizer,
    read_keys,
    recommend,
    snippet,
    trace,
)
from kedit.probing.families import row_of
from kedit.probing.figures import check_figure, draw_tracing
from kedit.probing.knowledge import FactPool, fact_pool, known_facts, neutral_facts
from kedit.probing.layers import EDITOR, LAST_SUBJECT, preset_layers
from kedit.probing.tracing import KINDS, ROLES

__all__ = ["probe"]

# Sentences for the checks of the tokenizer.
SENTENCES = 200


def probe(options: Namespace) -> Answer:
    """Check a model and its tokenizer, trace facts that it knows, and recommend layers.

    Raises:
        ModelError: the family has no row, or the row does not fit the model.
        ProbeError: fewer than one fact, or a figure of another kind.
    """
    if options.figure is not None:
        check_figure(Path(options.figure))
    if options.n < 1:
        raise ProbeError(f"-n {options.n} facts cannot be traced; give at least one")
    folder = locate_model(options.model)
    row_of(folder)
    pool = fact_pool(folder, options.facts)
    model = load_model(options.model, options.dtype, options.device)
    layers = model.check_layers(options.layers or range(model.n_blocks))
    report = _Report(model, layers)
    sample = pool.drawn(SENTENCES, options.seed) or neutral_facts()
    report.section("hooks", check_hooks(model, layers, options.seed))
    report.section("tokenizer", check_tokenizer(model, sample))
    names = list(dict.fromkeys(fact.subject for fact in sample))
    keys = read_keys(model, names if len(names) > 1 else [fact.subject for fact in neutral_facts()], layers)
    report.section("keys", check_keys(model, keys))
    report.keys(keys)
    if any(finding.verdict == "problem" for finding in report.findings["hooks"]):
        report.untraced("hooks do not work, so nothing can be restored; mend the row of the architecture table first")
    else:
        facts, asked = known_facts(model, pool, options.n, options.seed)
        if facts:
            _trace(options, model, report, pool, facts, asked, keys)
        else:
            report.untraced(
                f"the model knows none of {plural(asked, 'fact')} of {pool.source}, so no layers are recommended; give "
                "--facts FILE of others"
            )
    return report.answer()


def _trace(
    options: Namespace,
    model: LanguageModel,
    report: _Report,
    pool: FactPool,
    facts: Sequence[Fact],
    asked: int,
    keys: Sequence[LayerKeys],
) -> None:
    found = trace(model, facts, report.layers, TraceConfig(seed=options.seed), after=Progress("facts traced").tell)
    advice = recommend(model, found, keys)
    report.traced(found, f"{plural(len(facts), 'fact')} known of {asked} asked, {pool.source}")
    report.advised(advice)
    if options.figure is not None:
        draw_tracing(found, model.name, Path(options.figure), advice.layers or ())
        report.lines += ["", f"wrote {options.figure}"]


class _Report:
    """Lines for people and data for `--json`, section by section."""

    def __init__(self, model: LanguageModel, layers: tuple[int, ...]) -> None:
        row = model.architecture
        self.model, self.layers = model, layers
        self.findings: dict[str, list[Finding]] = {}
        self.lines = [
            f"{model.name}: {row.family}, {model.n_blocks} blocks, d {model.d}, f {model.f}",
            (
                f"row: blocks {row.blocks}, down {row.down}, up {', '.join(row.up)}, attention {row.attention}, norm "
                f"{row.norm}, rotary {row.rotary or 'none'}"
            ),
        ]
        self.data: dict[str, Any] = {
            "model": model.name,
            "blocks": model.n_blocks,
            "d": model.d,
            "f": model.f,
            "row": asdict(row),
            "layers": list(layers),
            "findings": {},
            "keys": [],
            "tracing": None,
            "recommended": None,
        }

    def section(self, name: str, findings: list[Finding]) -> None:
        """Findings under a name."""
        self.findings[name] = findings
        self.data["findings"][name] = [asdict(finding) for finding in findings]
        self.lines += ["", name, *(f"  {finding.line}" for finding in findings)]

    def keys(self, keys: Sequence[LayerKeys]) -> None:
        """Key distances, a line a layer."""
        self.data["keys"] = [asdict(one) for one in keys]
        self.lines.append(f"  {'layer':>7}{'AKD one subject':>18}{'AKD subjects':>15}{'nearest cosine':>17}")
        self.lines += [f"  {one.layer:>7}{one.same:>18.1e}{one.different:>15.3f}{one.nearest:>17.4f}" for one in keys]

    def untraced(self, reason: str) -> None:
        """Why there is no tracing."""
        self.data["untraced"] = reason
        self.lines += ["", "tracing", f"  {reason}"]

    def traced(self, found: Tracing, facts: str) -> None:
        """Average indirect effects at the subject's last and the prompt's last token, by layer."""
        average = found.average.tolist()
        self.data["tracing"] = {
            "facts": len(found.facts),
            "prompts": [fact.prompt.text for fact in found.facts],
            "noise": found.noise,
            "window": found.window,
            "clean": float(found.clean.mean()),
            "corrupted": float(found.corrupted.mean()),
            "roles": list(ROLES),
            "average": {
                kind: [[None if math.isnan(value) else value for value in line] for line in table]
                for kind, table in zip(KINDS, average, strict=True)
            },
        }
        self.lines += [
            "",
            f"tracing: {facts}",
            (
                f"  probability of the object {float(found.clean.mean()):.3f}, under noise "
                f"{float(found.corrupted.mean()):.3f}; restored by one state (MLP and attention: "
                f"{plural(found.window, 'layer')} together):"
            ),
            f"  {'':7}{'subject last':>24}{'':6}{'last token':>24}",
            f"  {'layer':>7}" + f"{'state':>10}{'MLP':>8}{'attention':>12}" * 2,
        ]
        columns = [found.at(kind, role) for role in (LAST_SUBJECT, ROLES[-1]) for kind in KINDS]
        for i, layer in enumerate(found.layers):
            cells = [f"{column[i]:>{width}.3f}" for column, width in zip(columns, (10, 8, 12) * 2, strict=True)]
            self.lines.append(f"  {layer:>7}{''.join(cells)}")

    def advised(self, advice: Recommendation) -> None:
        """The layers to edit, why, and the settings."""
        preset = preset_layers(self.model)
        settings = None if advice.layers is None else snippet(self.model, advice.layers)
        self.data["recommended"] = {
            "layers": None if advice.layers is None else list(advice.layers),
            "reasons": list(advice.reasons),
            "preset": None if preset is None else list(preset),
            "toml": settings,
        }
        chosen = "none" if advice.layers is None else ", ".join(map(str, advice.layers))
        told = (
            "no preset for this kind of model"
            if preset is None
            else f"preset of {EDITOR}: {', '.join(map(str, preset))}"
        )
        self.lines += ["", f"recommended layers: {chosen} ({told})", *(f"  {reason}" for reason in advice.reasons)]
        if settings is not None:
            self.lines += ["", *settings.splitlines()]

    def answer(self) -> Answer:
        """Everything; problems are a failure."""
        wrong = [finding for found in self.findings.values() for finding in found if finding.verdict == "problem"]
        names = ", ".join(finding.check for finding in wrong)
        failure = f"{self.model.name}: {plural(len(wrong), 'problem')} ({names})" if wrong else ""
        self.data["problems"] = len(wrong)
        return Answer(self.data, self.lines, failure)
