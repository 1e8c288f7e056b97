# SPDX-License-Identifier: Apache-2.0
"""The loss of trial values: which rows are read where, and what they cost, group by group.

Each pass computes only the blocks above the edited layer, only the tokens from the subject's last one on, and logits
only where a target is predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

from kedit.facts import Fact, Prompt
from kedit.locate_then_edit.contexts import BARE
from kedit.models.activations import Site, chunks, hooked
from kedit.models.doubles import doubles
from kedit.models.language_model import LanguageModel, ModelError
from kedit.models.recording import record
from kedit.models.replay import Replay
from kedit.models.tokens import Row, Text, encode

__all__ = ["KLPosition", "LossChunk", "Reads", "loss_chunks"]

KLPosition = Literal["after", "subject"]

# Above this share of active rows, picking them out costs more than running the others along.
WORTH_KEEPING = 0.9


@dataclass(frozen=True, slots=True)
class Reads:
    """What is read off the rows of a chunk.

    `row_group` `(B,)`; reads are `(line, column)` pairs: `nll_*` predict a label with a weight, `kl_*` are where a
    distribution is compared with that of the first look.
    """

    row_group: Tensor
    nll_line: Tensor
    nll_column: Tensor
    label: Tensor
    weight: Tensor
    kl_line: Tensor
    kl_column: Tensor

    def to(self, device: torch.device) -> Reads:
        """The same on another device."""
        return Reads(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def keep(self, rows: Tensor) -> tuple[Reads, Tensor]:
        """The reads of the rows that are true in `rows` `(B,)`, and which of the `kl_*` they are, as indices."""
        new_line = rows.cumsum(0) - 1
        nll, kl = rows[self.nll_line], rows[self.kl_line]
        left = Reads(
            row_group=self.row_group[rows],
            nll_line=new_line[self.nll_line[nll]],
            nll_column=self.nll_column[nll],
            label=self.label[nll],
            weight=self.weight[nll],
            kl_line=new_line[self.kl_line[kl]],
            kl_column=self.kl_column[kl],
        )
        return left, kl.nonzero()[:, 0]


@dataclass(slots=True)
class LossChunk:
    """Rows that run together, and what is read off them.

    Trial vectors are added at `places`, at the subject's last token. `kl_reference` is the distribution of the first
    look, which is to be at `delta` 0. `reads` are in host memory and `here` on the device, so that groups can leave
    without a question to the device.
    """

    replay: Replay
    places: tuple[Site, ...]
    reads: Reads
    here: Reads
    kl_reference: Tensor | None = None

    def losses(self, model: LanguageModel, delta: Tensor, kl: float) -> Tensor:
        """Loss of each group without weight decay, `(G,)` float32; `delta` is `(G, P, d)` float32, one a place."""
        hidden = self.replay.hidden
        with ExitStack() as stack:
            for i, place in enumerate(self.places):
                add = self._adding(delta[:, i])
                if place.layer == self.replay.layer:
                    hidden = add(hidden)
                else:
                    stack.enter_context(hooked(model, place, add))
            out = self.replay.forward(model, hidden)
        here = self.here
        line, column = torch.cat([here.nll_line, here.kl_line]), torch.cat([here.nll_column, here.kl_column])
        read = out[line.to(out.device), column.to(out.device)]  # the last block may be on another device
        log_probs = torch.log_softmax(model.head(model.final_norm(read)).float(), -1)
        n = len(here.nll_line)
        spoken = log_probs[:n].gather(1, here.label.to(log_probs.device)[:, None])[:, 0]
        nll = -spoken.to(delta.device) * here.weight
        total = torch.zeros(len(delta), dtype=torch.float32, device=delta.device)
        # Not `index_add`, which on a GPU adds in any order; on a CPU both give the same bits.
        total = total.index_put((here.row_group[here.nll_line],), nll, accumulate=True)
        if kl and len(here.kl_line):
            now = log_probs[n:]
            if self.kl_reference is None:
                self.kl_reference = now.detach()
            divergence = (now.exp() * (now - self.kl_reference)).sum(-1).to(delta.device)
            total = total.index_put((here.row_group[here.kl_line],), kl * divergence, accumulate=True)
        return total

    def _adding(self, delta: Tensor) -> Callable[[Tensor], Tensor]:
        shift = torch.zeros_like(self.replay.hidden, dtype=torch.float32)
        shift[:, 0] = delta[self.here.row_group].to(shift.device)
        return lambda tensor: (tensor.float() + shift.to(tensor.device)).to(tensor.dtype)

    def keep(self, active: Tensor) -> LossChunk | None:
        """The part of the chunk whose groups are still active, or None; the whole if hardly any has left.

        `active` `(G,)` is in host memory.
        """
        rows = active[self.reads.row_group]
        left = int(rows.sum())
        if left == 0:
            return None
        if left > WORTH_KEEPING * len(rows):
            return self
        device = self.here.row_group.device
        reads, kl = self.reads.keep(rows)
        return LossChunk(
            replay=self.replay.select(rows.nonzero()[:, 0].to(device)),
            places=self.places,
            reads=reads,
            here=reads.to(device),
            kl_reference=None if self.kl_reference is None else self.kl_reference[kl.to(self.kl_reference.device)],
        )


@dataclass(frozen=True, slots=True)
class _Line:
    """One row of the loss: a fact in a context, or (without labels) the row of a group's KL term.

    `is_base` marks the bare row of the group's first fact.
    """

    row: Row
    group: int
    weight: float
    labels: tuple[int, ...]
    is_base: bool = False


def loss_chunks(
    model: LanguageModel,
    facts: Sequence[Fact],
    grouped: Sequence[Sequence[int]],
    places: tuple[Site, ...],
    contexts: Sequence[str],
    *,
    divergence: KLPosition | None,
    chunk_tokens: int,
) -> tuple[list[LossChunk], Tensor]:
    """The rows of all groups in chunks of equal suffixes, and the recorded block's output at each group's bare row.

    What is added to an MLP's output alone is added to its block's output, which is the same in every family and leaves
    one block less to replay; a place inside a block needs the block replayed.

    Args:
        model: the model as it is now.
        facts: the batch.
        grouped: fact indices of each group.
        places: where in one block vectors are added.
        contexts: prefixes, the bare one among them.
        divergence: where the KL row of each group is read, or None for no such row.
        chunk_tokens: padded tokens run at once.

    Returns:
        The chunks, and the outputs `(G, d)` float64.

    Raises:
        ModelError: a place inside block 0, below which nothing is recorded.
    """
    layer = places[0].layer
    if len(places) == 1:
        places = (Site("block", layer),)
    elif layer == 0:
        raise ModelError(
            f"{model.name}: vectors inside block 0 cannot be searched for; let the last edited layer be above it"
        )
    recorded = layer if len(places) == 1 else layer - 1
    groups = {i: group for group, fellows in enumerate(grouped) for i in fellows}
    lines: list[_Line] = []
    asked = [(i, Text(fact.prompt, fact.target, context)) for i, fact in enumerate(facts) for context in contexts]
    for (i, text), row in zip(asked, encode(model.tokenizer, [text for _, text in asked]), strict=True):
        weight = 1 / (len(grouped[groups[i]]) * len(contexts) * len(row.target_ids))
        # The last target token is predicted, never read.
        is_base = i == grouped[groups[i]][0] and text.prefix == BARE
        lines.append(_Line(row.cut(len(row.ids) - 1), groups[i], weight, row.target_ids, is_base))
    if divergence is not None:
        about = [Text(Prompt("", facts[group[0]].subject, " is a")) for group in grouped]
        lines += [_Line(row, i, 0.0, ()) for i, row in enumerate(encode(model.tokenizer, about))]
    # Rows with equally long suffixes run together, so that little is padded.
    parts = chunks([len(line.row.ids) - (line.row.subject_last or 0) for line in lines], chunk_tokens)
    work = [_chunk(model, [lines[i] for i in part], recorded, places, divergence) for part in parts]
    found: list[Tensor] = []
    order: list[int] = []
    for chunk, part in zip(work, parts, strict=True):
        at = [i for i, number in enumerate(part) if lines[number].is_base]
        found.append(doubles(chunk.replay.hidden[at, 0]))
        order += [lines[part[i]].group for i in at]
    base = torch.cat(found)
    return work, base[torch.tensor(order).argsort().to(base.device)]


def _chunk(
    model: LanguageModel, lines: Sequence[_Line], layer: int, places: tuple[Site, ...], divergence: KLPosition | None
) -> LossChunk:
    starts = [line.row.subject_last or 0 for line in lines]
    nll: list[tuple[int, int, int, float]] = []
    kl: list[tuple[int, int]] = []
    for i, (line, start) in enumerate(zip(lines, starts, strict=True)):
        first = line.row.target_start - 1 - start
        nll += [(i, first + t, label, line.weight) for t, label in enumerate(line.labels)]
        if not line.labels:
            kl.append((i, 0 if divergence == "subject" else len(line.row.ids) - 1 - start))

    def column(values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long)

    reads = Reads(
        row_group=column([line.group for line in lines]),
        nll_line=column([read[0] for read in nll]),
        nll_column=column([read[1] for read in nll]),
        label=column([read[2] for read in nll]),
        weight=torch.tensor([read[3] for read in nll], dtype=torch.float32),
        kl_line=column([read[0] for read in kl]),
        kl_column=column([read[1] for read in kl]),
    )
    replay = record(model, [line.row for line in lines], starts, layer)
    return LossChunk(replay, places, reads, reads.to(model.device))
