# SPDX-License-Identifier: Apache-2.0
"""LanguageModel: a causal model, its tokenizer and its architecture, with weights in math orientation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from kedit.models.architectures import Architecture, ModelError, architecture_of
from kedit.models.fingerprints import Fingerprints
from kedit.models.folders import read_folder, write_folder
from kedit.models.memories import Memory
from kedit.models.placement import check_placement
from kedit.models.sharing import shared_copy, write

# A process that only names editors and collects tests need not wait for transformers, so it is imported where it works.
if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["LanguageModel", "ModelError"]

T = TypeVar("T")
CORPUS_FILE = "corpus.txt"


class LanguageModel:
    """A Hugging Face causal model that can be edited.

    Weights are seen in math orientation: `W` is `(d, f)` and acts as `W @ k`. A Conv1D, which stores `(f, d)`, is
    turned here and nowhere else, and is told by its class, never by its shape.

    Attributes:
        module: the transformer with its head.
        tokenizer: a tokenizer that reports character offsets.
        architecture: the family's row of the architecture table.
        name: for display only; nothing is decided by it.
        corpus: texts like those the model was trained on, for second moments; may be empty.
        origin: fingerprint of all parameters when this object was made; copies keep it.
        hashes: of tensors, remembered; copies have the same.
        shares: whether a `twin` has its weights in the same storage.
        stored: whether what is measured of it may be kept in files, of which a full model's have gigabytes.
        n_blocks, d, f: number of blocks, hidden size, key size.
    """

    def __init__(
        self,
        module: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str = "model",
        corpus: Iterable[str] = (),
        origin: str | None = None,
        hashes: Fingerprints | None = None,
    ) -> None:
        """Wrap a loaded model; `hashes` may know some of its tensors from models before it.

        Raises:
            ModelError: unknown family, quantised or offloaded weights, a tokenizer without offsets, or logits that
                are not the head's plain output.
        """
        self.module = module
        self.tokenizer = tokenizer
        self.name = name
        self.corpus = tuple(corpus)
        self.shares = False
        self.stored = True
        self._is_frozen = False
        self._derived: dict[Hashable, tuple[str, Any]] = {}
        self.hashes = Fingerprints() if hashes is None else hashes
        self._memory: Memory | None = None
        self._detach: Callable[[], None] | None = None
        self.architecture: Architecture = architecture_of(str(module.config.model_type))
        if not getattr(tokenizer, "is_fast", False):
            raise ModelError(
                f"{name}: the tokenizer reports no character offsets; use the tokenizers-backed ('fast') version"
            )
        if getattr(module.config, "final_logit_softcapping", None):
            raise ModelError(f"{name}: capped logits are not supported; the head's output must be the logits")
        self.n_blocks = len(self.blocks)
        if not self.n_blocks:
            raise ModelError(f"{name}: the model has no blocks")
        check_placement(module, name)
        self.d, self.f = (int(size) for size in self.weight(0).shape)
        self.origin = self.fingerprint() if origin is None else origin

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        name: str | None = None,
        hashes: Fingerprints | None = None,
    ) -> LanguageModel:
        """Load a local folder in Hugging Face format; nothing is downloaded.

        Args:
            folder: see `find_weights` for full models.
            dtype: of the weights.
            device: one device, or `auto` to spread the blocks over all devices there are.
            name: for display; the folder's name otherwise.
            hashes: of tensors that may be in it.

        Raises:
            ModelError: the folder, the configuration, the weights or the tokenizer are missing or damaged, the device
                is not here, or the weights are quantised or do not all fit on the devices.
        """
        path = Path(folder)
        module, tokenizer = read_folder(path, dtype, device)
        corpus_file = path / CORPUS_FILE
        corpus = corpus_file.read_text(encoding="utf-8").splitlines() if corpus_file.is_file() else ()
        return cls(module, tokenizer, name=name or path.name, corpus=corpus, hashes=hashes)

    def save(self, folder: str | Path) -> None:
        """Write weights as they are now, tokenizer and corpus as a plain Hugging Face folder, whole or not at all.

        Raises:
            ModelError: a memory is attached, or there is something at `folder`.
        """
        if self._memory is not None:
            raise ModelError(
                f"{self.name}: a memory ({type(self._memory).__name__}) answers beside the weights and cannot be part "
                "of a plain checkpoint; save the session, which keeps it, or take the memory out"
            )
        write_folder(Path(folder), self.module, self.tokenizer, {CORPUS_FILE: "".join(f"{t}\n" for t in self.corpus)})

    def copy(self) -> LanguageModel:
        """An independent copy of weights and memory as they are now, with the same origin and tokenizer."""
        return self._copied(copy.deepcopy)

    def twin(self) -> LanguageModel:
        """A copy for one who changes it by updates or `write` alone: of a model that `shares`, it takes no memory for
        weights until these are written."""
        return self._copied(shared_copy if self.shares else copy.deepcopy)

    def _copied(self, make: Callable[[PreTrainedModel], PreTrainedModel]) -> LanguageModel:
        memory = self.memory
        self.attach(None)  # its hooks would be copied too, and nobody could take them out
        try:
            module = make(self.module)
        finally:
            self.attach(memory)
        twin = LanguageModel(
            module, self.tokenizer, name=self.name, corpus=self.corpus, origin=self.origin, hashes=self.hashes
        )
        twin.attach(memory)
        twin._derived, twin.shares, twin.stored = self._derived, self.shares, self.stored
        return twin

    def renewed(self, tokenizer: PreTrainedTokenizerBase, corpus: Iterable[str]) -> LanguageModel:
        """The same module, seen as if it had just been loaded: nothing is remembered of it but hashes, and `origin` is
        of its weights as they are now.

        Raises:
            ModelError: a memory is attached, whose hooks nobody could take out.
        """
        if self._memory is not None:
            raise ModelError(f"{self.name} has a memory ({type(self._memory).__name__}); take it out first")
        fresh = LanguageModel(self.module, tokenizer, name=self.name, corpus=corpus, hashes=self.hashes)
        fresh.shares, fresh.stored = self.shares, self.stored and not self.shares
        return fresh

    def write(self, name: str, stored: Tensor) -> None:
        """Give the parameter of this full name the numbers of `stored`, in its own orientation and dtype; no copy sees
        it."""
        write(self.parameter(name), stored)

    @property
    def memory(self) -> Memory | None:
        """What answers beside the weights, or None."""
        return self._memory

    def attach(self, memory: Memory | None) -> None:
        """Put `memory` in the place of the one that is there; None takes it away."""
        if self._detach is not None:
            self._detach()
        self._memory, self._detach = None, None
        if memory is not None:
            self._detach = memory.attach(self)
            self._memory = memory

    @property
    def device(self) -> torch.device:
        """Where the input embeddings are."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> str:
        """Name of the dtype of the edited weights, such as `bfloat16`."""
        return str(self.weight(0).dtype).removeprefix("torch.")

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer blocks."""
        blocks = self.module.get_submodule(self.architecture.blocks)
        if not isinstance(blocks, nn.ModuleList):
            raise ModelError(f"{self.name}: {self.architecture.blocks} is not a list of blocks")
        return blocks

    @property
    def final_norm(self) -> nn.Module:
        """The norm before the head."""
        return self.module.get_submodule(self.architecture.norm)

    @property
    def head(self) -> nn.Module:
        """The output projection, resolved through the module so that tied heads work."""
        head = self.module.get_output_embeddings()
        if not isinstance(head, nn.Module):
            raise ModelError(f"{self.name}: the model has no output head")
        return head

    @property
    def head_size(self) -> int:
        """Number of logits."""
        return int(self.module.config.vocab_size)

    @property
    def rotary(self) -> nn.Module | None:
        """The module that makes rotary embeddings for all blocks, or None."""
        path = self.architecture.rotary
        return None if path is None else self.module.get_submodule(path)

    def check_layers(self, layers: Iterable[int]) -> tuple[int, ...]:
        """Sorted, distinct layers.

        Raises:
            ModelError: empty, repeated, or outside `0..n_blocks - 1`.
        """
        asked = tuple(layers)
        ordered = tuple(sorted(set(asked)))
        if not ordered or len(ordered) != len(asked):
            raise ModelError(f"layers {list(asked)} are empty or repeat; name each edited layer once")
        if ordered[0] < 0 or ordered[-1] >= self.n_blocks:
            raise ModelError(f"layers {list(asked)} are not all in 0..{self.n_blocks - 1}, the blocks of {self.name}")
        return ordered

    def _down(self, layer: int) -> nn.Module:
        return self.blocks[layer].get_submodule(self.architecture.down)

    def down_projection(self, layer: int) -> nn.Module:
        """The module whose input is the key and whose output is the MLP's value."""
        self.check_layers([layer])
        return self._down(layer)

    def weight_name(self, layer: int) -> str:
        """Full parameter name of the down-projection's weight."""
        return f"{self.architecture.blocks}.{layer}.{self.architecture.down}.weight"

    def is_transposed(self, name: str) -> bool:
        """Whether the parameter is stored `(f, d)`, as Conv1D does."""
        from transformers.pytorch_utils import Conv1D

        owner, _, leaf = name.rpartition(".")
        return leaf == "weight" and isinstance(self.module.get_submodule(owner), Conv1D)

    def weight(self, layer: int) -> Tensor:
        """The down-projection's weight `(d, f)`, a detached view in the stored dtype."""
        stored = self._down(layer).weight
        if not isinstance(stored, Tensor):
            raise ModelError(f"{self.name}: {self.weight_name(layer)} is not a tensor")
        return stored.detach().T if self.is_transposed(self.weight_name(layer)) else stored.detach()

    def fingerprint(self, names: Iterable[str] | None = None) -> str:
        """Hash over names, dtypes, shapes and bytes of the given parameters (default: all, and the memory).

        Of large models hashes are remembered under checksums, so that asking again costs one look at every byte.

        Raises:
            ModelError: a name is not a parameter.
        """
        named: dict[str, Tensor] = dict(self.module.named_parameters())
        held = {} if self._memory is None else self._memory.tensors
        if names is not None:
            named, held = {name: self.parameter(name) for name in names}, {}
        return self.hashes.of([*sorted(named.items()), *sorted(held.items())])

    def parameter(self, name: str) -> nn.Parameter:
        """The stored parameter of this full name; raises ModelError if there is none."""
        try:
            return self.module.get_parameter(name)
        except AttributeError as error:
            raise ModelError(f"{self.name} has no parameter {name!r}") from error

    def derived(self, key: Hashable, compute: Callable[[], T]) -> T:
        """What follows from the weights as they are now, remembered for the weights it was last asked for.

        Copies of the model share it.

        Args:
            key: what it is and everything else it depends on.
            compute: must depend on nothing but the key and the model.
        """
        weights = self.fingerprint()
        if self._derived.get(key, ("", None))[0] != weights:
            self._derived[key] = weights, compute()
        value: T = self._derived[key][1]
        return value

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Evaluation mode without parameter gradients; modes and flags come back even when something raises."""
        if self._is_frozen:
            yield
            return
        training = [module for module in self.module.modules() if module.training]
        learning = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        try:
            self._is_frozen = True
            for module in training:
                module.training = False
            for parameter in learning:
                parameter.requires_grad_(False)
            yield
        finally:
            self._is_frozen = False
            for parameter in learning:
                parameter.requires_grad_(True)
            for module in training:
                module.training = True

    @contextmanager
    def swapped(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Run with other weights, given in math orientation by parameter name.

        The stored tensors are set aside, not overwritten, so what comes back is the same bits.
        """
        parameters = {name: self.parameter(name) for name in weights}
        aside = {name: parameter.data for name, parameter in parameters.items()}
        try:
            for name, weight in weights.items():
                stored = aside[name]
                turned = weight.T if self.is_transposed(name) else weight
                parameters[name].data = turned.to(stored).contiguous()
            yield
        finally:
            for name, stored in aside.items():
                parameters[name].data = stored
