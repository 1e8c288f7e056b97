# SPDX-License-Identifier: Apache-2.0
"""What an edited model answers, and twins of a model that must answer alike."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from kedit.editors.base import Editor
from kedit.facts import Fact, Prompt
from kedit.gate.inspection import digest, digests
from kedit.models.language_model import LanguageModel
from kedit.models.scoring import score_targets
from kedit.models.sharing import own_storage
from kedit.models.tokens import Text, encode
from kedit.updates import Update

__all__ = ["answers", "bits", "converted", "decodes", "essence_drift", "independent", "moved", "outcome", "reordered"]


def answers(model: LanguageModel, facts: Sequence[Fact]) -> Tensor:
    """Probabilities of the new and of the true object on every prompt of the facts: rewrite, paraphrases, neighbors.

    Returns:
        `(n,)` float64, geometric means over the tokens of an object; the order of facts does not matter.
    """
    pairs = sorted(
        {
            (prompt, target)
            for fact in facts
            for prompt in (fact.prompt.text, *fact.paraphrases, *fact.neighborhood)
            for target in (fact.target, fact.true)
        }
    )
    return torch.tensor([one.mean for one in score_targets(model, pairs)], dtype=torch.float64).exp()


def essence_drift(base: LanguageModel, model: LanguageModel, fact: Fact) -> float:
    """How far the next token after "{subject} is a" moved: `KL(P_base || P_model)`, in nats (ROME, equation 4)."""
    (row,) = encode(model.tokenizer, [Text(Prompt("", fact.subject, " is a"))])
    ids = torch.tensor([row.ids], device=model.device)
    with torch.no_grad(), base.frozen(), model.frozen():
        before, after = (
            one.module(ids, use_cache=False).logits[0, -1].double().log_softmax(-1) for one in (base, model)
        )
    return float((before.exp() * (before - after)).sum())


def outcome(editor: Editor, model: LanguageModel, facts: Sequence[Fact], asked: Sequence[Fact]) -> Tensor:
    """The `answers` to `asked` of the model edited with `facts` in one call; the model is as before."""
    update, _ = editor.edit(model, facts)
    snapshot = update.apply(model)
    found = answers(model, asked)
    snapshot.restore(model)
    return found


def decodes(model: LanguageModel, fact: Fact) -> bool:
    """Whether `generate`, with its cache and without sampling, writes exactly the new object after the prompt."""
    (row,) = encode(model.tokenizer, [Text(Prompt(fact.prompt.text, "", ""), fact.target)])
    prompt = torch.tensor([row.ids[: row.target_start]], device=model.device)
    n = len(row.target_ids)
    with torch.no_grad(), model.frozen():
        written = model.module.generate(  # type: ignore[operator]  # typed as a Tensor or a Module
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=n,
            min_new_tokens=n,
            do_sample=False,
            use_cache=True,
            pad_token_id=0,
        )
    return tuple(written[0, prompt.shape[1] :].tolist()) == tuple(row.target_ids)


def independent(model: LanguageModel) -> LanguageModel:
    """A twin with its own tokenizer, of which nothing is remembered, with every eighth text of the corpus, enough for
    second moments of so small a model. It has weights of its own, unless the model `shares` them."""
    return _renewed(model.twin())


def converted(model: LanguageModel, dtype: torch.dtype) -> LanguageModel:
    """An `independent` twin whose weights were rounded to `dtype`; buffers keep theirs, as in a loaded model."""
    twin = model.twin()
    for parameter in twin.module.parameters():
        parameter.data = parameter.data.to(dtype)
    return _renewed(twin)


def reordered(model: LanguageModel, seed: int) -> LanguageModel:
    """An `independent` twin with the hidden units of every MLP in another order: the same function, other keys.

    The rows of the up-projections and the columns of the down-projection are permuted together, so that what is
    remembered from `model` does not fit the twin although names and shapes are the same.
    """
    twin = model.twin()
    generator = torch.Generator().manual_seed(seed)
    for layer, block in enumerate(twin.blocks):
        order = torch.randperm(twin.f, generator=generator).to(twin.weight(layer).device)
        path = f"{twin.architecture.blocks}.{layer}"
        _permute(twin, twin.weight_name(layer), order, column=True)
        for up in twin.architecture.up:
            _permute(twin, f"{path}.{up}.weight", order)
            if isinstance(getattr(block.get_submodule(up), "bias", None), Tensor):
                _permute(twin, f"{path}.{up}.bias", order)
    return _renewed(twin)


def _permute(model: LanguageModel, name: str, order: Tensor, *, column: bool = False) -> None:
    """Rows, or columns, of a parameter in math orientation in another order."""
    stored = model.parameter(name).detach()
    model.write(name, stored[:, order] if column != model.is_transposed(name) else stored[order])


def moved(model: LanguageModel, folder: Path) -> LanguageModel:
    """The model, written to `folder` and loaded again, in its own dtype and place; the files do not stay."""
    spread = getattr(model.module, "hf_device_map", None)
    try:
        model.save(folder)
        place = "auto" if spread else model.device
        found = LanguageModel.from_pretrained(folder, dtype=model.weight(0).dtype, device=place, hashes=model.hashes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a full model has gigabytes
    if model.shares:
        own_storage(found.module)
    found.shares, found.stored = model.shares, model.stored
    return found


def bits(model: LanguageModel, update: Update) -> dict[str, str]:
    """Digests of every parameter and of the memory with the update applied; the model is as before."""
    snapshot = update.apply(model)
    found = digests(dict(model.module.named_parameters()))
    found["the memory"] = digest(model.memory.tensors if model.memory else None)
    snapshot.restore(model)
    return found


def _renewed(twin: LanguageModel) -> LanguageModel:
    return twin.renewed(copy.deepcopy(twin.tokenizer), twin.corpus[::8])
