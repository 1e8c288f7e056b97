# SPDX-License-Identifier: Apache-2.0
"""No editor runs an operation that on a GPU gives other bits the next time, so that an edit can be made again there.

Looked at on a fake CUDA device, where code takes the paths of a real one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from editing_tests.library.editors.examples import ADA, BORN, PLAYS, SETTINGS, TEXTS, model_of
from editing_tests.library.models.fake_devices import CUDA, cuda_here, fake_devices, place, put
from editing_tests.library.random_networks import weights_file
from kedit.editors import editor_names, load_editor
from kedit.models import LanguageModel, score_targets

# What the documentation of torch.use_deterministic_algorithms (2.13) names for CUDA tensors, as the kernels are called
# there. Attention and kthvalue are not on its page, but their kernels refuse to run or change with that setting.
# Only the spatial form of NLLLoss, `nll_loss2d`, is one.
UNORDERED = re.compile(
    r"histc|n?anmedian|median|kthvalue|nll_loss2d\w*|_?convolution\w*|conv_\w+|_ctc_loss_backward|_embedding_bag\w*"
    r"|(adaptive_)?(avg|max)_pool\w*_backward|fractional_max_pool\w*_backward|max_unpool\w*"
    r"|(upsample|grid_sampler|reflection_pad|replication_pad)\w*_backward"
    r"|_(scaled_dot_product_)?(fused|flash|efficient|cudnn)\w*attention\w*_backward|_scaled_dot_product_\w+_backward"
)
# These add up, or overwrite, in any order; that shows only where one cell is met twice.
CELLS = ("index_add", "index_copy", "index_reduce", "scatter", "scatter_add", "scatter_reduce", "put")
SHORT: dict[str, Any] = {"steps": 2, "contexts": {"count": 1, "length": 2}, "value": {"steps": 2, "lr": 0.05}}


class Unordered(TorchDispatchMode):
    """Notes which operations of `UNORDERED` and `CELLS` run on CUDA tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        name = func._schema.name.removeprefix("aten::").rstrip("_")
        if any(isinstance(leaf, Tensor) and place(leaf) == CUDA for leaf in tree_leaves((args, given))):
            self.seen.add(name)
            if unordered(name, args, given):
                self.found.add(name)
        return func(*args, **given)


def unordered(name: str, args: Any, kwargs: Any) -> bool:
    if name in ("cumsum", "cumprod"):
        return bool(args[0].is_floating_point())
    if name == "bincount":
        return len(args) > 1 and args[1] is not None
    if name in ("index_put", "_index_put_impl", "_unsafe_index_put"):  # with accumulate they are sorted first
        added = args[3] if len(args) > 3 else kwargs.get("accumulate", False)
        return not added and met_twice(torch.zeros_like(args[0], dtype=torch.float32), "index_put", args)
    if name in CELLS:
        return met_twice(torch.zeros_like(args[0], dtype=torch.float32), name, args)
    return UNORDERED.fullmatch(name) is not None


def met_twice(counts: Tensor, name: str, args: Any) -> bool:
    if name == "index_put":
        one = counts.new_ones(())
        return bool((counts.index_put(args[1], one, accumulate=True) > 1).any())
    if name == "put":
        return bool(args[1].unique().numel() < args[1].numel())
    _, dim, index, *_ = args
    if name.startswith("index"):
        return bool(index.unique().numel() < index.numel())
    return bool((counts.scatter_add(dim, index, torch.ones_like(index, dtype=torch.float32)) > 1).any())


@contextmanager
def looking() -> Iterator[Unordered]:
    with cuda_here(), fake_devices(), Unordered() as mode:
        yield mode


def on_cuda(family: str) -> LanguageModel:
    model = model_of(family)
    return LanguageModel(nn.Module.to(model.module, CUDA), model.tokenizer, corpus=TEXTS)


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    ("family", "name"),
    [*(("llama", name) for name in editor_names()), *itertools.product(("gpt2", "gptj"), ("memit-merge", "ft"))],
)
def test_no_editor_adds_in_any_order(name: str, family: str, tmp_path: Path) -> None:
    settings = SETTINGS | {"mend": {"weights": str(weights_file(model_of(family), tmp_path))}}
    editor = load_editor(name, settings[name] | {key: part for key, part in SHORT.items() if key in settings[name]})
    facts = [BORN, ADA, PLAYS] if editor.tags.batch else [BORN]
    with looking() as mode:
        model = on_cuda(family)
        update, state = editor.edit(model, facts)
        update.apply(model)
        if editor.tags.sequential:
            update, _ = editor.edit(model, [ADA], state)
            update.apply(model)
        score_targets(model, [(fact.prompt.text, fact.target) for fact in facts])
    assert {"embedding", "mm"} <= mode.seen
    assert not mode.found


def attend(x: Tensor) -> None:
    four = x.expand(1, 1, 4, 4)
    scaled_dot_product_attention(four, four, four).sum().backward()


NOTED: dict[str, tuple[Callable[[Tensor], object], set[str]]] = {
    "sum": (lambda x: x.sum(0), set()),
    "running": (lambda x: x.cumsum(0), {"cumsum"}),
    "counting": (lambda x: (x > 0).cumsum(0), set()),
    "twice": (lambda x: x.index_add(0, torch.zeros(4, dtype=torch.long, device=CUDA), x), {"index_add"}),
    "once": (lambda x: x.index_add(0, torch.arange(4, device=CUDA), x), set()),
    "sorted": (lambda x: x.index_put((torch.zeros(4, dtype=torch.long),), x, accumulate=True), set()),
    "gathered": (lambda x: x.gather(1, x.argsort(1)).sum().backward(), set()),
    "gathered-twice": (lambda x: x.gather(1, 0 * x.argsort(1)).sum().backward(), {"scatter_add"}),
    "overwritten": (lambda x: x.detach().clone().__setitem__([0, 0, 1, 2], x.detach()), {"index_put"}),
    "masked": (lambda x: x.detach().clone().__setitem__(x > 0, 1.0), set()),
    "attention": (attend, {"_scaled_dot_product_flash_attention_for_cpu_backward"}),
    "kth": (lambda x: x.kthvalue(1), {"kthvalue"}),
    "elsewhere": (lambda x: x.cpu().cumsum(0), set()),
}


@pytest.mark.parametrize(("operation", "expected"), NOTED.values(), ids=NOTED)
def test_what_adds_in_any_order_is_noted(operation: Callable[[Tensor], object], expected: set[str]) -> None:
    with looking() as mode:
        operation(put(torch.eye(4), CUDA).requires_grad_())
    assert mode.found == expected
