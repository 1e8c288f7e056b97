# SPDX-License-Identifier: Apache-2.0
"""One pass over whole rows that keeps what `Replay` needs.

Rows that begin alike, as all facts behind one context do, share the pass over their common beginning.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from kedit.models.activations import BATCH_TOKENS, Enough, Site, chunks, hooked, run
from kedit.models.architectures import ModelError
from kedit.models.language_model import LanguageModel
from kedit.models.replay import CACHE_NAMES, KeysValues, Replay
from kedit.models.tokens import Row, collate

if TYPE_CHECKING:
    from transformers import DynamicCache

__all__ = ["record"]

ATTENTION = ("eager", "sdpa")
# Rows count as beginning alike from this many tokens on.
ALIKE_TOKENS = 4
# A pass of its own for common beginnings pays once it saves this share of the tokens.
WORTH_SHARING = 0.25

Ids = tuple[int, ...]


def record(
    model: LanguageModel,
    rows: Sequence[Row],
    starts: Sequence[int],
    layer: int,
    *,
    batch_tokens: int = BATCH_TOKENS,
) -> Replay:
    """Run whole rows forward and keep what replaying the blocks above `layer` needs.

    Args:
        model: the model as it is now.
        rows: encoded rows.
        starts: for each row the token from which on hidden states may change.
        layer: the block whose output will be changed.
        batch_tokens: padded tokens run at once.

    Raises:
        ModelError: an attention implementation or block argument that replay does not know.
    """
    model.check_layers([layer])
    _check_attention(model, max(len(row.ids) for row in rows))
    device = model.device
    start = torch.tensor(starts, device=device)
    length = torch.tensor([len(row.ids) for row in rows], device=device)
    p, s = int(start.max()), int((length - start).max())
    before = start[:, None] - p + torch.arange(p, device=device)
    after = start[:, None] + torch.arange(s, device=device)
    above = range(layer + 1, model.n_blocks)
    shared = _common_beginnings([row.ids[:at] for row, at in zip(rows, starts, strict=True)])
    with torch.no_grad(), _noting_arguments(model, above) as flags:
        heads = _run_heads(model, shared, batch_tokens)
        tails = [row.ids[len(head) :] for row, head in zip(rows, shared, strict=True)]
        parts = chunks([len(tail) for tail in tails], batch_tokens)
        found = []
        for part in parts:
            where = torch.tensor(part, device=device)
            columns = _Columns(before[where], after[where])
            found.append(_run_tails(model, [tails[i] for i in part], [shared[i] for i in part], heads, layer, columns))
        order = torch.tensor([i for part in parts for i in part], device=device).argsort()
        hidden, *attention = (torch.cat(pieces)[order.to(pieces[0].device)] for pieces in zip(*found, strict=True))
        positions = torch.minimum(after, (length - 1)[:, None])
        rotary = None if model.rotary is None else model.rotary(hidden, position_ids=positions.to(hidden.device))
    return Replay(
        layer=layer,
        hidden=hidden,
        positions=positions,
        mask=_mask(before >= 0, after < length[:, None], hidden.dtype),
        rotary=rotary,
        prefix=dict(zip(above, zip(attention[::2], attention[1::2], strict=True), strict=True)),
        flags=flags,
    )


@dataclass(frozen=True, slots=True)
class _Columns:
    """Tokens to keep, counted from each row's first: `before` the start `(b, P)`, negative for none, and `after`."""

    before: Tensor
    after: Tensor


@dataclass(frozen=True, slots=True)
class _Heads:
    """Common beginnings, and block by block their attention keys and values, aligned on the right."""

    number: Mapping[Ids, int]
    attention: Sequence[KeysValues]


def _common_beginnings(ids: Sequence[Ids]) -> list[Ids]:
    """For each row the beginning it shares with all that begin like it; all empty if that saves little."""
    alike: dict[Ids, list[Ids]] = defaultdict(list)
    for one in ids:
        alike[one[:ALIKE_TOKENS]].append(one)
    common: dict[Ids, Ids] = {
        key: _beginning(fellows) if len(key) == ALIKE_TOKENS and len(fellows) > 1 else ()
        for key, fellows in alike.items()
    }
    saved = sum(len(common[key]) * (len(fellows) - 1) for key, fellows in alike.items())
    if saved < WORTH_SHARING * sum(map(len, ids)):
        return [()] * len(ids)
    return [common[one[:ALIKE_TOKENS]] for one in ids]


def _beginning(fellows: Sequence[Ids]) -> Ids:
    # What the first and the last in sorted order share, all between them share.
    pairs = zip(min(fellows), max(fellows), strict=False)
    return tuple(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _run_heads(model: LanguageModel, shared: Sequence[Ids], batch_tokens: int) -> _Heads | None:
    heads = sorted(set(shared) - {()})
    if not heads:
        return None
    lengths = [len(head) for head in heads]
    width = max(lengths)
    found: list[list[Tensor]] = []
    number: dict[Ids, int] = {}
    for part in chunks(lengths, batch_tokens):
        cache = _cache(model)
        batch = collate([Row(heads[i], None, lengths[i]) for i in part], device=model.device)
        run(model, batch, use_cache=True, past_key_values=cache)
        columns = torch.tensor([lengths[i] for i in part])[:, None] - width + torch.arange(width)
        found.append([tensor for i in range(model.n_blocks) for tensor in _attention(cache, i, columns)])
        number.update(zip([heads[i] for i in part], range(len(number), len(number) + len(part)), strict=True))
    joined = [torch.cat(pieces) for pieces in zip(*found, strict=True)]
    return _Heads(number, list(zip(joined[::2], joined[1::2], strict=True)))


def _run_tails(
    model: LanguageModel,
    tails: Sequence[Ids],
    shared: Sequence[Ids],
    heads: _Heads | None,
    layer: int,
    columns: _Columns,
) -> list[Tensor]:
    """Hidden states `(b, S, d)` after `layer`, then keys and values `(b, H, P, h)` of each block above it."""
    begun: list[KeysValues] = []
    batch = collate([Row(tail, None, len(tail)) for tail in tails], device=model.device)
    skipped = torch.tensor([len(head) for head in shared], device=model.device)
    width = int(skipped.max())
    if heads is not None and width:
        lines = torch.tensor([heads.number.get(head, 0) for head in shared])
        for keys, values in heads.attention:
            at = lines.to(keys.device)
            begun.append((keys[at, :, -width:], values[at, :, -width:]))
        seen = torch.arange(width, device=model.device) >= (width - skipped)[:, None]
        mask = torch.cat([seen.to(batch.mask), batch.mask], 1)
        batch = replace(batch, mask=mask, positions=batch.positions + skipped[:, None])
    kept: list[Tensor] = []
    with hooked(model, Site("block", layer), kept.append):
        cache = _cache(model, begun, needs_output_of=layer)
        run(model, batch, use_cache=True, past_key_values=cache)
    # The last columns of a short row are padding, which nobody sees; they need only exist.
    after = (columns.after - skipped[:, None]).clamp(max=max(map(len, tails)) - 1)
    hidden = kept[0][torch.arange(len(tails), device=kept[0].device)[:, None], after.to(kept[0].device)]
    before = columns.before + (width - skipped)[:, None]
    above = range(layer + 1, model.n_blocks)
    return [hidden, *(tensor for i in above for tensor in _attention(cache, i, before))]


def _cache(
    model: LanguageModel, begun: Sequence[KeysValues] = (), *, needs_output_of: int | None = None
) -> DynamicCache:
    """A cache that has `begun`; the pass that goes on with it ends once it is full, unless a later output is needed."""
    from transformers import DynamicCache

    last = model.n_blocks - 1

    class Filling(DynamicCache):
        def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any) -> Any:
            found = super().update(key_states, value_states, layer_idx, *args, **kwargs)
            if layer_idx == last != needs_output_of:
                raise Enough
            return found

    cache = Filling(config=model.module.config)
    for i, (keys, values) in enumerate(begun):
        DynamicCache.update(cache, keys, values, i)
    return cache


def _attention(cache: DynamicCache, layer: int, columns: Tensor) -> KeysValues:
    """Keys and values of a block at `columns` `(b, P)`; whatever is at hand where a column is negative."""
    stored = cache.layers[layer]
    keys, values = getattr(stored, "keys", None), getattr(stored, "values", None)
    if not isinstance(keys, Tensor) or not isinstance(values, Tensor):
        raise ModelError(f"block {layer} kept no attention keys; replay needs a block that uses its cache")
    at = columns.clamp(min=0).to(keys.device)
    lines = torch.arange(len(at), device=keys.device)[:, None]
    return keys.transpose(1, 2)[lines, at].transpose(1, 2), values.transpose(1, 2)[lines, at].transpose(1, 2)


def _mask(before: Tensor, after: Tensor, dtype: torch.dtype) -> Tensor:
    """What to add to attention scores, `(B, 1, S, P + S)`, from the tokens that exist, `(B, P)` and `(B, S)`."""
    p, s = before.shape[1], after.shape[1]
    visible = torch.cat([before, after], 1)[:, None, None, :]
    causal = torch.ones(s, p + s, dtype=torch.bool, device=after.device).tril(p)
    # A padded query must see something, or its softmax is 0 / 0; itself is always there.
    own = torch.eye(s, p + s, dtype=torch.bool, device=after.device).roll(p, 1)
    mask = torch.zeros(len(after), 1, s, p + s, dtype=dtype, device=after.device)
    return mask.masked_fill_(~((visible & causal) | own), torch.finfo(dtype).min)


@contextmanager
def _noting_arguments(model: LanguageModel, above: Iterable[int]) -> Iterator[dict[int, dict[str, Any]]]:
    """Note what each block is called with besides what `Replay` puts in itself."""
    flags: dict[int, dict[str, Any]] = {}
    with ExitStack() as stack:
        for i in above:
            stack.callback(_note_arguments(model.blocks[i], i, flags).remove)
        yield flags


def _note_arguments(block: nn.Module, layer: int, flags: dict[int, dict[str, Any]]) -> Any:
    signature = inspect.signature(block.forward)
    replaced = {"hidden_states", "attention_mask", "position_ids", "position_embeddings", "use_cache", *CACHE_NAMES}

    def note(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        bound = dict(signature.bind_partial(*args, **kwargs).arguments)
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                bound.update(bound.pop(name, {}))
        bound.pop("hidden_states", None)
        strange = sorted(name for name, value in bound.items() if isinstance(value, Tensor) and name not in replaced)
        if strange:
            raise ModelError(f"block {layer} takes a tensor {', '.join(strange)} that replay does not know")
        flags[layer] = {name: None if name in replaced else value for name, value in bound.items()}

    return block.register_forward_pre_hook(note, with_kwargs=True)


def _check_attention(model: LanguageModel, width: int) -> None:
    config = model.module.config
    implementation = str(getattr(config, "_attn_implementation", "eager"))
    if implementation not in ATTENTION:
        raise ModelError(
            f"{model.name}: attention implementation {implementation!r} takes no explicit mask; "
            f"load the model with one of {', '.join(ATTENTION)}"
        )
    window = getattr(config, "sliding_window", None)
    if window is not None and getattr(config, "use_sliding_window", True) and width > int(window):
        raise ModelError(f"{model.name}: a row of {width} tokens is longer than the attention window {window}")
