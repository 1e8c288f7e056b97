# SPDX-License-Identifier: Apache-2.0
"""GRACE (Hartvigsen et al. 2023, "Aging with GRACE"): a codebook of keys and learnt values beside one layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from kedit.editors.base import EditorError, Tags
from kedit.editors.settings import Configured, recorded
from kedit.facts import Fact
from kedit.models.activations import Site, ending_after, hooked, run
from kedit.models.codebook import Codebook
from kedit.models.language_model import LanguageModel
from kedit.models.recording import record
from kedit.models.tokens import Row, Text, collate, encode
from kedit.updates import Update

__all__ = ["Grace", "GraceSettings"]

# Relative distance below which two queries are one, read in different batches.
ROUNDING = 1e-4


@dataclass(frozen=True, kw_only=True)
class GraceSettings:
    """Settings of GRACE.

    Attributes:
        layer: the block beside which the codebook stands.
        radius: deferral radius of a new entry, `eps_init`, in units of the down-projection's input.
        start: a new value starts `cold`, uniform in [0, 1) (published default), or `warm`, at the layer's own output.
        lr: Adam's step size.
        steps: updates at most.
        stop: ends when the mean loss of a target token is below this, in nats; 0 runs all steps, as published.
        seed: seed of the cold start; entry `i` takes `seed + i`.
    """

    layer: int
    radius: float = 1.0
    start: Literal["cold", "warm"] = "cold"
    lr: float = 1.0
    steps: int = 100
    stop: float = 0.05
    seed: int = 0


class Grace(Configured[GraceSettings]):
    """General retrieval adaptor for continual editing; settings as keyword arguments, see `GraceSettings`.

    The query of a fact is the input of the down-projection at the last token of its prompt. Far from all keys it is a
    new entry; near an entry with another target it is a new entry and the two balls split the way between them;
    near one with the same target that ball grows (section 3.2, and its algorithm 1). Then the value of the entry that
    answers is trained on the target's likelihood, and nothing else.

    Where text, published code and kedit part:

    * Which tokens of a pass get the value is an option of the published code (`replace`: the last token, all, or those
      of the prompt), by an index of the last query. Here every token asks for itself. Attention is causal, so the
      prompt's last token asks the same with or without a target behind it, and this is "the last token" without an
      index that could be stale.
    * The published code compares targets by the mean of their token ids; here they are the same when their ids are.
    * The published code wraps the up-projection in GPT-2 and the down-projection in Llama; here it is the latter.
    * Asking another target of a prompt that has an entry would leave two balls of radius zero; here that entry is
      trained anew.
    * A ball grows by the `coverage` rule; moving its key half way, an option of the published code, is not here.
    * The published code keeps the last value that it trained; here it is the one with the lowest loss.
    """

    name = "grace"
    tags = Tags(sequential=True)
    settings = GraceSettings

    def edit(self, model: LanguageModel, facts: Sequence[Fact], state: None = None) -> tuple[Update, None]:
        """A codebook in the place of the model's; there is no state beside it.

        Raises:
            EditorError: more than one fact, the model has a memory that is no codebook of this layer, or the radius is
                too small for any query.
        """
        setting = self.begin(model, facts)
        (layer,) = model.check_layers([setting.layer])
        before = _found(model, layer)
        (row,) = encode(model.tokenizer, [Text(facts[0].prompt, facts[0].target)])
        with model.frozen():
            # The last target token is predicted, never read.
            seen = _see(model, row.cut(len(row.ids) - 1), layer)
            last = row.target_start - 1
            start = _start(seen.raw[last], setting, len(before))
            placed, entry = place(before, seen.queries[last], start, row.target_ids, setting.radius)
            value, loss, updates = _train(model, row, seen, before, placed, entry, setting)
        values = placed.values.clone()
        values[entry] = value
        book = replace(placed, values=values)
        notes = {"entries": len(book), "entry": entry, "radii": book.radii.tolist(), "loss": loss, "updates": updates}
        return recorded(self.name, model, facts, {}, setting, memory=book, notes=notes), None


def place(book: Codebook, query: Tensor, value: Tensor, label: tuple[int, ...], radius: float) -> tuple[Codebook, int]:
    """The codebook with a place for `query` `(f,)`, and the entry that answers it (algorithm 1 of the paper).

    Args:
        book: the codebook so far.
        query: of the fact's prompt.
        value: `(d,)`, of a new entry.
        label: the target's token ids.
        radius: of a new entry.
    """
    if not len(book):
        return _added(book, query, value, label, radius), 0
    distance, index = (found.item() for found in book.nearest(query[None]))
    near, new = int(index), len(book)
    if distance > radius + float(book.radii[near]):
        return _added(book, query, value, label, radius), new
    if book.labels[near] == label:
        grown = max(float(book.radii[near]), distance * (1 + ROUNDING))
        return _with_radius(book, near, grown), near
    if distance <= ROUNDING * float(query.norm()):
        labels = tuple(label if i == near else old for i, old in enumerate(book.labels))
        reached = max(float(book.radii[near]), distance * (1 + ROUNDING))
        return replace(_with_radius(book, near, reached), labels=labels), near
    # The near ball is a little smaller, so that no query is in both.
    smaller = _with_radius(book, near, distance / 2 * (1 - ROUNDING))
    return _added(smaller, query, value, label, distance / 2), new


def _added(book: Codebook, query: Tensor, value: Tensor, label: tuple[int, ...], radius: float) -> Codebook:
    return Codebook(
        book.layer,
        torch.cat([book.keys, query[None].float().cpu()]),
        torch.cat([book.values, value[None].float().cpu()]),
        torch.cat([book.radii, torch.tensor([radius])]),
        (*book.labels, label),
    )


def _with_radius(book: Codebook, entry: int, radius: float) -> Codebook:
    radii = book.radii.clone()
    radii[entry] = radius
    return replace(book, radii=radii)


def _found(model: LanguageModel, layer: int) -> Codebook:
    """The model's codebook at `layer`, or an empty one."""
    if model.memory is None:
        return Codebook.empty(layer, model.f, model.d)
    if not isinstance(model.memory, Codebook):
        raise EditorError(
            f"grace: {model.name} has a memory of another kind ({type(model.memory).__name__}); take it off first, a "
            "model has at most one"
        )
    if model.memory.layer != layer:
        raise EditorError(
            f"grace: the codebook of {model.name} stands beside block {model.memory.layer}, the setting 'layer' is "
            f"{layer}; set it to {model.memory.layer} or take the codebook off"
        )
    return model.memory


def _start(output: Tensor, setting: GraceSettings, number: int) -> Tensor:
    """Where the value `(d,)` of a new entry starts."""
    if setting.start == "warm":
        return output.float().cpu()
    return torch.rand(len(output), generator=torch.Generator().manual_seed(setting.seed + number))


@dataclass(frozen=True, slots=True)
class _Seen:
    """One row at the layer: `queries` `(T, f)`, and the outputs `raw` `(T, d)` that the weights alone give them."""

    queries: Tensor
    raw: Tensor


def _see(model: LanguageModel, row: Row, layer: int) -> _Seen:
    kept: list[Tensor] = []
    down = model.down_projection(layer)
    with torch.no_grad(), hooked(model, Site("key", layer), kept.append), ending_after(model, layer):
        run(model, collate([row], device=model.device), use_cache=False)
        queries = kept[0][0]
        return _Seen(queries, down.forward(queries))  # the module's call would ask the codebook


def _train(
    model: LanguageModel, row: Row, seen: _Seen, before: Codebook, placed: Codebook, entry: int, setting: GraceSettings
) -> tuple[Tensor, float, int]:
    """The value `(d,)` of `entry`, float32 on the CPU, its loss in nats a token, and the number of updates.

    A pass runs only the blocks above the layer, from the first token whose answer differs from that of `before`.
    """
    answering = (placed.answering(seen.queries) == entry).float()[:, None]
    if not bool(answering[row.target_start - 1]):
        raise EditorError(
            f"grace: radius is {setting.radius}, so small that rounding decides whether a ball holds its own key; give "
            "a larger one"
        )
    fixed = placed.output(seen.queries, seen.raw) - before.output(seen.queries, seen.raw)
    moved = (answering[:, 0] > 0) | fixed.any(1)
    first = int(moved.nonzero()[0])
    replay = record(model, [row.cut(len(seen.queries))], [first], setting.layer)
    # What the block's output loses where the entry answers: the value there before, which the new one replaces.
    lost = before.output(seen.queries, seen.raw).float() * answering
    base = replay.hidden.float() + (fixed.float() * (1 - answering) - lost)[first:]
    labels = torch.tensor(row.target_ids)
    value = placed.values[entry].to(base.device).clone().requires_grad_(True)
    adam = torch.optim.Adam([value], lr=setting.lr)
    kept, kept_loss, updates = value.detach().clone(), float("inf"), 0
    for step in range(setting.steps + 1):
        last = step == setting.steps
        with torch.set_grad_enabled(not last):
            hidden = base + answering[first:] * value
            out = replay.forward(model, hidden.to(replay.hidden.dtype))[0, row.target_start - 1 - first :]
            logits = model.head(model.final_norm(out)).float()
            loss = cross_entropy(logits, labels.to(logits.device))
        if loss.item() < kept_loss:
            kept, kept_loss = value.detach().clone(), loss.item()
        if last or loss.item() < setting.stop:
            break
        (value.grad,) = torch.autograd.grad(loss, [value])
        adam.step()
        updates += 1
    return kept.cpu(), kept_loss, updates
