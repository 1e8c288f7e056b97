# SPDX-License-Identifier: Apache-2.0
"""Whether a family's row of the architecture table is right: what hooks read and overwrite, on random tokens."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from kedit.models.activations import Site
from kedit.models.interventions import overwriting, watch
from kedit.models.language_model import LanguageModel
from kedit.models.recording import record
from kedit.models.tokens import Batch, Row, collate
from kedit.probing.findings import Finding, layer_text

__all__ = ["TOLERANCE", "check_hooks"]

# Largest relative difference of a vector that counts as rounding: a wrong hook is off by about one.
TOLERANCE: Mapping[torch.dtype, float] = {torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1e-1}
ROWS, SHORTEST, LONGEST = 4, 5, 9

# Gives for each layer the largest relative difference.
Check = Callable[["_Bench", int], float]


class _Bench:
    """Random rows, padded on the right, and a token of each that has others before and behind it."""

    def __init__(self, model: LanguageModel, seed: int) -> None:
        rng = random.Random(f"kedit probe {seed}")
        special = set(model.tokenizer.all_special_ids)
        ids = [i for i in range(min(len(model.tokenizer), model.head_size)) if i not in special]
        lengths = [SHORTEST, LONGEST, *(rng.randint(SHORTEST, LONGEST) for _ in range(ROWS - 2))]
        self.model = model
        self.rows = [Row(tuple(rng.choice(ids) for _ in range(n)), None, n) for n in lengths]
        self.tokens = [rng.randrange(1, n - 1) for n in lengths]
        self.batch = collate(self.rows, device=model.device)
        self.lines = torch.arange(ROWS, device=model.device)
        self.columns = self.batch.columns(self.tokens)
        self.plain = self.last(self.batch)
        generator = torch.Generator().manual_seed(rng.getrandbits(60))
        self.directions = torch.randn(ROWS, model.d, generator=generator)

    def last(self, batch: Batch) -> Tensor:
        """The last hidden states of a batch."""
        return watch(self.model, batch, ())[1]

    def at(self, site: Site) -> Tensor:
        """The site at the chosen tokens, `(ROWS, .)`."""
        return watch(self.model, self.batch, [site], self.columns)[0][site]

    def pushed(self, site: Site, layer: int) -> tuple[Tensor, Tensor]:
        """What stands at a site, and a random push of the length of the hidden state there, `(ROWS, .)` each."""
        length = self.at(Site("block", layer)).float().norm(dim=1, keepdim=True)
        push = torch.nn.functional.normalize(self.directions.to(length), dim=1) * length
        return self.at(site), push

    def real(self) -> Iterator[tuple[int, int]]:
        """Rows and lengths."""
        return ((i, len(row.ids)) for i, row in enumerate(self.rows))


def check_hooks(model: LanguageModel, layers: Sequence[int], seed: int = 0) -> list[Finding]:
    """Check reading, overwriting, replaying and padding on a seeded random batch, a finding each."""
    allowed = TOLERANCE.get(next(model.module.parameters()).dtype, 1e-1)
    try:
        bench = _Bench(model, seed)
    except Exception as error:  # a model that does not run raises whatever it does
        return [Finding("forward", "problem", f"a batch of random tokens does not run ({_told(error)})")]
    return [
        _by_layer(name, good, bad, check, bench, layers, allowed) for name, (good, bad, check) in _CHECKS.items()
    ] + [_padding(bench, allowed)]


def _by_layer(
    name: str, good: str, bad: str, check: Check, bench: _Bench, layers: Sequence[int], allowed: float
) -> Finding:
    """One finding over all layers."""
    worst, wrong = 0.0, []
    for layer in layers:
        try:
            found = check(bench, layer)
        except Exception as error:  # a wrong path raises whatever its shapes do
            return Finding(name, "problem", f"{bad} at {layer_text([layer])} ({_told(error)})")
        worst = max(worst, found)
        if not found <= allowed:
            wrong.append(layer)
    told = f"largest relative difference {worst:.1e}, allowed {allowed:.0e}"
    if wrong:
        return Finding(name, "problem", f"{bad} at {layer_text(wrong)} ({told})")
    return Finding(name, "ok", f"{good} at {layer_text(layers)} ({told})")


def _keys(bench: _Bench, layer: int) -> float:
    model = bench.model
    key, output = bench.at(Site("key", layer)).float(), bench.at(Site("mlp", layer))
    made = key @ model.weight(layer).float().to(key.device).T
    bias = getattr(model.down_projection(layer), "bias", None)
    return _difference(made if bias is None else made + bias.float().to(made.device), output)


def _residual(bench: _Bench, layer: int) -> float:
    """A vector added to the MLP's output is added to the block's output."""
    if bench.model.architecture.down.startswith(f"{bench.model.architecture.attention}."):
        raise ValueError("`down` lies inside the attention")
    before = bench.at(Site("block", layer))
    value, push = bench.pushed(Site("value", layer), layer)
    with overwriting(bench.model, Site("value", layer), bench.batch, bench.tokens, value + push.to(value)):
        after = bench.at(Site("block", layer))
    return _difference(after, before.float() + push.to(before.device))


def _overwrite(bench: _Bench, layer: int) -> float:
    """One where an overwritten state changes nothing at its token, else what it changes at tokens before it."""
    value, push = bench.pushed(Site("block", layer), layer)
    with overwriting(bench.model, Site("block", layer), bench.batch, bench.tokens, value + push.to(value)):
        changed = bench.last(bench.batch)
    lines, columns = bench.lines.to(changed.device), bench.columns.to(changed.device)
    own = torch.stack([changed[lines, columns], bench.plain[lines, columns]])
    if _difference(own[0], own[1], least=True) < 1e-2:
        return 1.0
    return max(_difference(changed[i, :token], bench.plain[i, :token]) for i, token in enumerate(bench.tokens))


def _replay(bench: _Bench, layer: int) -> float:
    """Blocks above the layer, from recorded states, against whole passes: as it is, and with a state overwritten."""
    model, site = bench.model, Site("block", layer)
    value, push = bench.pushed(site, layer)
    worst = 0.0
    with torch.no_grad(), model.frozen():
        replay = record(model, bench.rows, bench.tokens, layer)
        for new in (value, value + push.to(value)):
            hidden = replay.hidden.clone()
            hidden[:, 0] = new.to(hidden)
            short = model.final_norm(replay.forward(model, hidden))
            with overwriting(model, site, bench.batch, bench.tokens, new):
                whole = bench.last(bench.batch)
            for i, n in bench.real():
                start = bench.tokens[i]
                worst = max(worst, _difference(short[i, : n - start], whole[i, start:n]))
    return worst


def _padding(bench: _Bench, allowed: float) -> Finding:
    left = bench.last(collate(bench.rows, side="left", device=bench.model.device))
    worst = max(_difference(left[i, -n:], bench.plain[i, :n]) for i, n in bench.real())
    told = f"largest relative difference {worst:.1e}, allowed {allowed:.0e}"
    if worst <= allowed:
        return Finding("padding", "ok", f"rows padded left and right give the same ({told})")
    return Finding(
        "padding", "problem", f"rows padded left and right differ ({told}): the model ignores its mask or positions"
    )


def _difference(one: Tensor, other: Tensor, *, least: bool = False) -> float:
    """The largest (or least) relative distance of the vectors of two tensors `(..., .)`; anything not a number is 1."""
    if one.shape != other.shape:
        raise ValueError(f"shapes {tuple(one.shape)} and {tuple(other.shape)} differ")
    one, base = one.detach(), other.detach().float()
    found = (one.float().to(base.device) - base).norm(dim=-1) / base.norm(dim=-1).clamp(min=1e-12)
    value = float(found.min() if least else found.max())
    return value if value == value else 1.0


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


_CHECKS: Mapping[str, tuple[str, str, Check]] = {
    "keys": (
        "key times down-projection, plus bias, is the MLP's output",
        "key times down-projection, plus bias, is not the MLP's output; `down` of the row names another module",
        _keys,
    ),
    "residual": (
        "what is added to the MLP's output is added to the block's",
        (
            "what is added to the MLP's output is not added to the block's; the family scales or norms it, or `down` "
            "names another module"
        ),
        _residual,
    ),
    "overwrite": (
        "an overwritten hidden state takes effect at its token and nowhere before it",
        "an overwritten hidden state has no effect, or one on tokens before it; `blocks` of the row is not what runs",
        _overwrite,
    ),
    "replay": (
        "blocks replayed above a layer give what the whole model gives",
        (
            "blocks replayed above a layer do not give what the whole model gives; values would be optimised on "
            "another model"
        ),
        _replay,
    ),
}
