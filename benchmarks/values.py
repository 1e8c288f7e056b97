# SPDX-License-Identifier: Apache-2.0
"""Value optimisation: the batched path against one fact at a time through the whole model, in one run.

    python benchmarks/values.py [--model tiny-gpt2] [--facts 64] [--threads 2]

Both run the same objective from the same start and must give the same values; ratios are of wall time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import torch
from measuring import floor_flops, peak_flops, timed
from torch import Tensor

from kedit.facts import Fact, Prompt
from kedit.locate_then_edit.contexts import ContextConfig
from kedit.locate_then_edit.keys import SubjectReader
from kedit.locate_then_edit.pipeline import open_session
from kedit.locate_then_edit.solvers import ridge
from kedit.locate_then_edit.values import ValueConfig, optimise_values
from kedit.models import LanguageModel
from kedit.models.activations import Site
from kedit.models.tokens import Text, collate, encode
from kedit.paths import fixtures_dir
from kedit.worlds.sampling import Sampler
from kedit.worlds.world import World


def one_at_a_time(
    model: LanguageModel, fact: Fact, layer: int, contexts: Sequence[str], config: ValueConfig
) -> tuple[Tensor, int]:
    """The yardstick: the whole model, every position, all logits, at every step; returns `delta` `(d,)` and steps."""
    texts = [Text(fact.prompt, fact.target, context) for context in contexts]
    texts.append(Text(Prompt("", fact.subject, " is a")))
    rows = encode(model.tokenizer, texts)
    rows = [row.cut(len(row.ids) - 1) if text.target else row for row, text in zip(rows, texts, strict=True)]
    labels = encode(model.tokenizer, texts[:1])[0].target_ids
    batch = collate(rows)
    lines, at = torch.arange(len(rows)), batch.columns([row.subject_last or 0 for row in rows])
    base: dict[str, Tensor] = {}
    delta = torch.zeros(model.d, requires_grad=True)
    adam = torch.optim.Adam([delta], lr=config.lr)

    def add(_module: Any, _args: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        base.setdefault("bare", hidden[0, at[0]].detach())
        changed = hidden.clone()
        changed[lines, at] += delta
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    best, best_loss, reference, steps = delta.detach().clone(), float("inf"), None, 0
    handle = model.blocks[layer].register_forward_hook(add)
    try:
        for step in range(config.steps + 1):
            logits = model.module(
                input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
            ).logits
            log_probs = torch.log_softmax(logits.float(), -1)
            nll = torch.zeros(())
            for i, row in enumerate(rows[:-1]):
                first = row.target_start - 1
                nll = nll - log_probs[i, range(first, first + len(labels)), labels].mean() / len(contexts)
            now = log_probs[-1, len(rows[-1].ids) - 1]
            reference = now.detach() if reference is None else reference
            loss = nll + config.kl * (now.exp() * (now - reference)).sum()
            if loss.item() < best_loss:
                best, best_loss = delta.detach().clone(), loss.item()
            if loss.item() < config.stop or step == config.steps:
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
            steps += 1
            with torch.no_grad():
                delta *= min(1.0, config.clamp * float(base["bare"].norm()) / max(float(delta.norm()), 1e-12))
    finally:
        handle.remove()
    return best, steps


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny-gpt2")
    parser.add_argument("--facts", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    model = LanguageModel.from_pretrained(fixtures_dir() / "models" / options.model)
    facts = Sampler(World.generate(0)).distinct(options.facts, seed=0)
    layers = [1, 2] if model.architecture.family == "gptj" else [0, 1]
    session = open_session(model, layers, ContextConfig())
    config = ValueConfig()
    groups = tuple(range(len(facts)))
    with model.frozen():
        optimise_values(model, facts[:2], (0, 1), layers[-1], session.contexts, config)
        batched_s, values = timed(lambda: optimise_values(model, facts, groups, layers[-1], session.contexts, config))
        serial_s, serial = timed(
            lambda: [one_at_a_time(model, fact, layers[-1], session.contexts, config) for fact in facts]
        )
        reader = SubjectReader(model, facts, session.contexts, "groups")
        keys_s, found = timed(lambda: [reader.read(model, averaged=[Site("key", layer)]) for layer in layers])
    factor = session.moments[layers[0]].factor(1e-4)
    keys = found[0][Site("key", layers[0])]
    solve_s, _ = timed(lambda: [ridge(keys, values.delta, factor, 0.02 * model.f) for _ in layers])
    plain = torch.stack([delta for delta, _ in serial], 1).double()
    worst = float(((values.delta - plain).norm(dim=0) / plain.norm(dim=0)).max())
    operations = floor_flops(
        model, facts, groups, layers[-1], session.contexts, values.updates, divergence=bool(config.kl)
    )
    peak = peak_flops()
    write = sys.stdout.write
    write(f"{options.model}, {len(facts)} facts, {len(session.contexts)} contexts, {options.threads} threads\n")
    write(f"one at a time, whole model   {serial_s:8.2f} s   {sum(n for _, n in serial)} steps\n")
    write(f"batched replay               {batched_s:8.2f} s   {int(values.updates.sum())} steps\n")
    write(f"ratio                        {serial_s / batched_s:8.1f}\n")
    write(f"largest relative difference  {worst:8.1e}\n")
    write(f"share of a batch: values {batched_s:.2f} s, keys {keys_s:.2f} s, solve {solve_s:.2f} s\n")
    write(
        f"floor: {operations / 1e9:.1f} GFLOP, {peak / 1e9:.0f} GFLOP/s in a large product: "
        f"{operations / peak / batched_s:.0%} of the batched time\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
