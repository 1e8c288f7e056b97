# SPDX-License-Identifier: Apache-2.0
"""Causal tracing (Meng et al. 2022, "Locating and Editing Factual Associations in GPT", section 2).

The subject's embeddings are hidden under noise, so that the model forgets the object; then one state at a time is put
back as it was, and what comes back of the object's probability is the indirect effect of that state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from kedit.facts import Fact, FactError
from kedit.models.activations import BATCH_TOKENS, Site
from kedit.models.interventions import Places, overwriting_many, watch
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Batch, Row, Text, collate, encode, subject_spans

__all__ = ["KINDS", "ROLES", "TraceConfig", "Tracing", "embedding_deviation", "roles_of", "trace", "trace_fact"]

Kind = Literal["block", "value", "attention"]
KINDS: tuple[Kind, ...] = ("block", "value", "attention")
ROLES = (
    "first subject token",
    "middle subject tokens",
    "last subject token",
    "first subsequent token",
    "further tokens",
    "last token",
)
# ROME restores 10 of 48 blocks of GPT-2 XL at once; other depths get the same share.
WINDOW_SHARE = 10 / 48


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceConfig:
    """How states are hidden and restored.

    Attributes:
        samples: draws of the noise for each fact.
        deviations: standard deviation of the noise, in those of the entries of the subjects' embeddings.
        window: blocks whose MLP or attention is restored together, around the one named; 0 for a share of 10 in 48 of
            the model's blocks, at least one. A hidden state is restored by itself.
        seed: seed of the noise; a fact's noise depends on nothing but the seed, its tokens and the scale.
        batch_tokens: tokens run at once.
    """

    samples: int = 3
    deviations: float = 3.0
    window: int = 0
    seed: int = 0
    batch_tokens: int = BATCH_TOKENS

    def blocks(self, model: LanguageModel) -> int:
        """The window for this model."""
        return self.window or max(1, round(model.n_blocks * WINDOW_SHARE))


@dataclass(frozen=True)
class FactTrace:
    """One fact.

    Attributes:
        clean, corrupted: probability of the true object, as it is and under the noise (mean over draws).
        effects: `(kinds, layers, tokens)` float64, probability with the state restored less `corrupted`, for each token
            of the prompt.
        roles: role of each token, None before the subject.
    """

    clean: float
    corrupted: float
    effects: Tensor
    roles: tuple[str | None, ...]

    def by_role(self) -> Tensor:
        """Mean effect over the tokens of each role, `(kinds, layers, roles)`; NaN where the fact has none."""
        columns = []
        for role in ROLES:
            tokens = [i for i, own in enumerate(self.roles) if own == role]
            columns.append(self.effects[:, :, tokens].mean(-1))  # the mean of none is NaN
        return torch.stack(columns, -1)


@dataclass(frozen=True)
class Tracing:
    """Average indirect effects.

    Attributes:
        layers: the layers traced.
        window: blocks restored together.
        noise: standard deviation of the noise, in units of the embeddings.
        facts: the facts traced.
        clean, corrupted: `(n,)` float64, probabilities of the true objects.
        effects: `(n, kinds, layers, roles)` float64, NaN where a fact has no token of a role.
    """

    layers: tuple[int, ...]
    window: int
    noise: float
    facts: tuple[Fact, ...]
    clean: Tensor
    corrupted: Tensor
    effects: Tensor = field(repr=False)

    @property
    def average(self) -> Tensor:
        """Average indirect effect `(kinds, layers, roles)`; NaN where no fact has a token of the role."""
        return self.effects.nanmean(0)

    @property
    def total(self) -> float:
        """Average total effect: how much probability the noise takes away."""
        return float((self.clean - self.corrupted).mean())

    def at(self, kind: Kind, role: str) -> list[float]:
        """The average effect of a kind at a role, layer by layer."""
        values: list[float] = self.average[KINDS.index(kind), :, ROLES.index(role)].tolist()
        return values


def embedding_deviation(model: LanguageModel, facts: Sequence[Fact]) -> float:
    """Standard deviation of all entries of the embeddings of the facts' subject tokens."""
    texts = [Text(fact.prompt) for fact in facts]
    rows, spans = encode(model.tokenizer, texts), subject_spans(model.tokenizer, texts)
    ids = sorted({row.ids[i] for row, span in zip(rows, spans, strict=True) for i in span})
    batch = collate([Row(tuple(ids), None, len(ids))], device=model.device)
    with torch.no_grad():
        vectors: Tensor = model.module.get_input_embeddings()(batch.ids)
    return float(vectors.double().std())


def trace(
    model: LanguageModel,
    facts: Sequence[Fact],
    layers: Sequence[int],
    config: TraceConfig = TraceConfig(),
    *,
    deviation: float | None = None,
    after: Callable[[int, int], None] = lambda _done, _of: None,
) -> Tracing:
    """Trace facts that the model knows: prompt, subject and true object.

    The measure is the probability of the whole object, each token given those before it; the paper's is that of its
    first token.

    Args:
        model: the model as it is now.
        facts: at least one.
        layers: the layers whose states are restored.
        config: noise, window and seed.
        deviation: of the embeddings; measured on the facts if left out.
        after: is told, after each fact, how many are traced and how many there are.

    Raises:
        FactError: no facts.
        ModelError: a layer that the model does not have.
    """
    if not facts:
        raise FactError("there are no facts to trace; give facts that the model knows")
    layers = model.check_layers(layers)
    scale = config.deviations * (embedding_deviation(model, facts) if deviation is None else deviation)
    found = []
    for done, fact in enumerate(facts, 1):
        found.append(trace_fact(model, fact, layers, scale, config))
        after(done, len(facts))
    return Tracing(
        layers=layers,
        window=config.blocks(model),
        noise=scale,
        facts=tuple(facts),
        clean=torch.tensor([one.clean for one in found], dtype=torch.float64),
        corrupted=torch.tensor([one.corrupted for one in found], dtype=torch.float64),
        effects=torch.stack([one.by_role() for one in found]),
    )


def roles_of(span: range, length: int) -> tuple[str | None, ...]:
    """The role of each token of a prompt of `length` tokens whose subject is `span`.

    A token has one role: a subject of one token is a last subject token, and the prompt's last token is that even right
    behind the subject. A subject that ends the prompt has no last token of the prompt beside it.
    """
    first, middle, last, subsequent, further, end = ROLES
    roles: list[str | None] = [None] * length
    for i in range(span.start, length):
        if i < span.stop:
            roles[i] = last if i == span.stop - 1 else first if i == span.start else middle
        else:
            roles[i] = end if i == length - 1 else subsequent if i == span.stop else further
    return tuple(roles)


def trace_fact(model: LanguageModel, fact: Fact, layers: Sequence[int], scale: float, config: TraceConfig) -> FactTrace:
    """Trace one fact; every token of the prompt, layer and kind, under noise of standard deviation `scale`."""
    text = Text(fact.prompt, fact.true)
    (row,), (span,) = encode(model.tokenizer, [text]), subject_spans(model.tokenizer, [text])
    read = row.cut(len(row.ids) - 1)  # the last target token is predicted, never read
    blocks, length = config.blocks(model), row.target_start
    windows = {(kind, layer): _window(kind, layer, blocks, model.n_blocks) for kind in KINDS for layer in layers}
    sites = sorted({site for window in windows.values() for site in window}, key=lambda s: (s.layer, s.kind))
    with torch.no_grad(), model.frozen():
        batch = _copies(model, read, 1)
        seen, hidden = watch(model, batch, [Site("embedding", 0), *sites])
        clean = float(_probability(model, hidden, row)[0])
        embedded = seen.pop(Site("embedding", 0))[0, span.start : span.stop]
        noisy = embedded + scale * _noise(read.ids, len(span), model.d, config).to(embedded)
        under = _Under(model, row, read, span, noisy, config.batch_tokens)
        corrupted = under.probabilities([() for _ in range(config.samples)], seen, range(config.samples)).mean()
        asked = [(window, token) for window in windows.values() for token in range(length)]
        jobs = [tuple((site, token) for site in window) for window, token in asked for _ in range(config.samples)]
        draws = [draw for _ in asked for draw in range(config.samples)]
        restored = under.probabilities(jobs, seen, draws).view(len(KINDS), len(layers), length, config.samples)
    return FactTrace(clean, float(corrupted), restored.mean(-1) - corrupted, roles_of(span, length))


def _window(kind: Kind, layer: int, blocks: int, n_blocks: int) -> tuple[Site, ...]:
    """What is restored around a layer: `blocks` of them, as many below as above or one more below."""
    if kind == "block":
        return (Site(kind, layer),)
    start = layer - blocks // 2
    return tuple(Site(kind, i) for i in range(max(0, start), min(n_blocks, start + blocks)))


def _copies(model: LanguageModel, row: Row, n: int) -> Batch:
    return collate([row] * n, device=model.device)


def _noise(ids: Sequence[int], tokens: int, d: int, config: TraceConfig) -> Tensor:
    """`(samples, tokens, d)` float32 of standard deviation one."""
    name = f"kedit trace {config.seed} {' '.join(map(str, ids))}"
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(tokens, d, generator=generator) for _ in range(config.samples)])


@dataclass(frozen=True)
class _Under:
    """Passes of one row whose subject `span` has the embeddings `noisy` `(samples, tokens, d)`."""

    model: LanguageModel
    row: Row
    read: Row
    span: range
    noisy: Tensor
    batch_tokens: int

    def probabilities(
        self, jobs: Sequence[tuple[tuple[Site, int], ...]], clean: Mapping[Site, Tensor], draws: Sequence[int]
    ) -> Tensor:
        """Probability of the object for each job `(n,)` float64: what is restored, and in which draw of the noise."""
        return torch.cat([self._pass(jobs[part], clean, draws[part]) for part in self._parts(len(jobs))])

    def _parts(self, n: int) -> Iterator[slice]:
        size = max(1, self.batch_tokens // len(self.read.ids))
        return (slice(start, start + size) for start in range(0, n, size))

    def _pass(
        self, jobs: Sequence[tuple[tuple[Site, int], ...]], clean: Mapping[Site, Tensor], draws: Sequence[int]
    ) -> Tensor:
        n, tokens = len(jobs), len(self.span)
        batch = _copies(self.model, self.read, n)
        device = batch.ids.device
        new = {
            Site("embedding", 0): Places(
                torch.arange(n, device=device).repeat_interleave(tokens),
                torch.arange(self.span.start, self.span.stop, device=device).repeat(n),
                self.noisy[list(draws)].flatten(0, 1),
            )
        }
        where: dict[Site, list[tuple[int, int]]] = {}
        for line, job in enumerate(jobs):
            for site, token in job:
                where.setdefault(site, []).append((line, token))
        for site, pairs in where.items():
            lines, columns = torch.tensor(pairs, device=device).T
            new[site] = Places(lines, columns, clean[site][0, columns.to(clean[site].device)])
        with overwriting_many(self.model, batch, new):
            _, hidden = watch(self.model, batch, ())
        return _probability(self.model, hidden, self.row)


def _probability(model: LanguageModel, hidden: Tensor, row: Row) -> Tensor:
    """Probability `(n,)` float64 of the row's whole target, from its last hidden states `(n, T, d)`."""
    logits = model.head(hidden[:, row.target_start - 1 :]).float()
    targets = torch.tensor(row.target_ids, device=logits.device)
    chosen = torch.log_softmax(logits, -1)[:, torch.arange(len(targets), device=logits.device), targets]
    return chosen.double().sum(1).exp().cpu()
