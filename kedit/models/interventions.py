# SPDX-License-Identifier: Apache-2.0
"""Seeing and overwriting many places of a batch in one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from kedit.models.activations import Site, hooked, run
from kedit.models.architectures import ModelError
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Batch

__all__ = ["Places", "overwriting", "overwriting_many", "watch"]


@dataclass(frozen=True, slots=True)
class Places:
    """What is put where at one site: `values` `(n, .)` at `columns` `(n,)` of the batch's `rows` `(n,)`."""

    rows: Tensor
    columns: Tensor
    values: Tensor


@contextmanager
def overwriting_many(model: LanguageModel, batch: Batch, new: Mapping[Site, Places]) -> Iterator[None]:
    """While active, every place has its value; every forward pass must be of `batch`.

    Raises:
        ModelError: a forward pass of another shape, such as one step of cached generation.
    """
    with ExitStack() as stack:
        for site, places in new.items():
            stack.enter_context(hooked(model, site, _put(batch, places)))
        yield


def overwriting(
    model: LanguageModel, site: Site, batch: Batch, indices: Sequence[int], new: Tensor
) -> AbstractContextManager[None]:
    """`overwriting_many` at one site, one token a row: `new` is `(B, .)`, `indices` are those of the tokens."""
    columns = batch.columns(indices)
    rows = torch.arange(len(columns), device=columns.device)
    return overwriting_many(model, batch, {site: Places(rows, columns, new)})


def _put(batch: Batch, places: Places) -> Callable[[Tensor], Tensor]:
    """For `hooked`: puts the values where they belong in passes of `batch`."""

    def put(tensor: Tensor) -> Tensor:
        if tensor.shape[:2] != batch.ids.shape:
            raise ModelError(
                f"overwriting expects a forward pass of shape {tuple(batch.ids.shape)}, "
                f"got {tuple(tensor.shape[:2])}; run the same batch without a cache"
            )
        changed = tensor.clone()
        changed[places.rows.to(tensor.device), places.columns.to(tensor.device)] = places.values.to(tensor)
        return changed

    return put


def watch(
    model: LanguageModel, batch: Batch, sites: Sequence[Site], columns: Tensor | None = None
) -> tuple[dict[Site, Tensor], Tensor]:
    """One pass over whole rows: each site's tensor, and the last hidden states `(B, T, d)`.

    Args:
        model: the model as it is now; overwriting that is active is seen.
        batch: its rows; nothing is cut, so tokens behind a column may show whether attention is causal.
        sites: what to see.
        columns: one column `(B,)` a row; then tensors are `(B, .)`, otherwise `(B, T, .)`.
    """
    found: dict[Site, Tensor] = {}

    def keep(site: Site) -> Callable[[Tensor], None]:
        def see(tensor: Tensor) -> None:
            if columns is None:
                found[site] = tensor.clone()
            else:
                lines = torch.arange(len(columns), device=tensor.device)
                found[site] = tensor[lines, columns.to(tensor.device)].clone()

        return see

    with torch.no_grad(), model.frozen(), ExitStack() as stack:
        for site in sites:
            stack.enter_context(hooked(model, site, keep(site)))
        last: Tensor = run(model, batch, use_cache=False).last_hidden_state
    return found, last
