# SPDX-License-Identifier: Apache-2.0
"""Second moments of keys: `C = (1/N) sum_t k_t k_t^T`, uncentred, over the tokens of a corpus.

`lambda C` stands for the keys that an edit must preserve (MEMIT; D4S eq. 8, `Cov`). `C` belongs to the unedited model
it was measured on and is refused for any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kedit.files import cache_folder, one_at_a_time, write_atomically
from kedit.models.activations import BATCH_TOKENS
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import tokenizer_fingerprint
from kedit.statistics.errors import StatisticsError
from kedit.statistics.gram import Gram, sum_keys
from kedit.statistics.portions import row_limit, rows_of
from kedit.statistics.store import collected_files, home_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "FORMAT", "SecondMoment", "StatisticsError", "corpus_fingerprint", "dtype_option", "load", "measure", "save",
    "second_moments",
]  # fmt: skip

FORMAT = "kedit second moment 2"
# Rows and columns that are compared at once: two such squares stay in a core's cache.
SQUARE = 256
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class SecondMoment:
    """The second moment of one layer's keys.

    Attributes:
        layer: the block whose down-projection reads the keys.
        matrix: `(f, f)` float64, the mean of `k k^T` over tokens.
        tokens: number of tokens in the mean.
        model: origin fingerprint of the model it was measured on.
        corpus: fingerprint of the texts and of the tokenizer that cuts them.
    """

    layer: int
    matrix: Tensor
    tokens: int
    model: str
    corpus: str
    _factors: dict[float, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def damped(self, damping: float, device: torch.device | str = "cpu") -> Tensor:
        """`C + damping * trace(C) / f * I`, `(f, f)` float64, a new matrix on `device`."""
        matrix = self.matrix.to(device, copy=True)
        matrix.diagonal().add_(damping * matrix.diagonal().mean())
        return matrix

    def penalty(self, damping: float, strength: float) -> Tensor:
        """`strength * damped(damping)`, `(f, f)` float64."""
        return self.damped(damping).mul_(strength)

    def check_tokens(self) -> None:
        """Raises StatisticsError for fewer tokens than `f`, with which `matrix` has no full rank."""
        f = self.matrix.shape[0]
        if self.tokens < f:
            raise StatisticsError(
                f"the second moment of layer {self.layer} has {self.tokens} tokens for keys of size {f}: its rank is "
                f"deficient, at least {f - self.tokens} tokens are missing ({10 * f} are a good number); "
                "give a larger corpus"
            )

    def factor(self, damping: float, device: torch.device | str = "cpu") -> Tensor:
        """Lower Cholesky factor of `damped(damping)`, `(f, f)` float64, kept on this object.

        It is found on `device`, one that has float64, and kept beside `matrix` in host memory: those of six layers of
        GPT-J would take 12 GiB there, and bringing one over is short work beside a batch. For a GPU the memory is
        page-locked, from which it is some ten times as short.

        Raises:
            StatisticsError: fewer tokens than `f`, or rank-deficient all the same.
        """
        self.check_tokens()
        f = self.matrix.shape[0]
        if damping not in self._factors:
            lower, info = torch.linalg.cholesky_ex(self.damped(damping, device))
            if int(info) != 0:
                rank = int(torch.linalg.matrix_rank(self.matrix.to(device), hermitian=True))
                raise StatisticsError(
                    f"the second moment of layer {self.layer} has rank {rank} of {f} after {self.tokens} tokens: "
                    f"{f - rank} independent tokens are missing; give a more varied corpus, or damping > 0"
                )
            kept = lower.to(self.matrix.device)
            self._factors[damping] = kept.pin_memory() if lower.is_cuda else kept
        return self._factors[damping]


def corpus_fingerprint(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> str:
    """Hash of the texts, their order, and the tokenizer that makes tokens of them."""
    digest = hashlib.sha256(tokenizer_fingerprint(tokenizer).encode())
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def measure(
    model: LanguageModel,
    texts: Sequence[str],
    layers: Sequence[int],
    *,
    batch_tokens: int = BATCH_TOKENS,
) -> dict[int, SecondMoment]:
    """Stream the texts once through the model as it is now and sum `k k^T` for all layers, in float64.

    Every real token counts once, the first included; padding never does. A text longer than the model's context is cut
    into rows, as `kedit statistics collect` cuts it.

    Raises:
        StatisticsError: no texts, or the model is not as it was loaded.
    """
    ordered = model.check_layers(layers)
    if not texts:
        raise StatisticsError(
            f"{model.name} has no corpus for second moments; put texts like its training data into corpus.txt, one a "
            "line, or switch the covariance off and say so"
        )
    if model.fingerprint() != model.origin:
        raise StatisticsError(
            f"{model.name} is not as it was loaded: second moments belong to the unedited model; measure them before "
            "the first edit, or pass the state of the session on"
        )
    sums = {layer: Gram(model.f, exact=True) for layer in ordered}
    cut = rows_of(model.tokenizer, filter(None, texts), row_limit(model))
    counted = sum_keys(model, [row for _, rows in cut for row in rows], sums, batch_tokens)
    corpus = corpus_fingerprint(texts, model.tokenizer)
    return {
        layer: SecondMoment(layer, total.matrix().div_(counted), counted, model.origin, corpus)
        for layer, total in sums.items()
    }


def second_moments(
    model: LanguageModel, layers: Sequence[int], *, cache: Path | None = None, collected: Path | None = None
) -> dict[int, SecondMoment]:
    """The second moments of `model.corpus`, from the cache folder where it has them, else measured and stored there.

    A model without a corpus has those that `kedit statistics collect` left, for each layer the ones of most tokens.
    Of several processes that need the same ones, one measures and the others wait for it and read.

    Args:
        model: unedited where it has to be measured.
        layers: whose keys.
        cache: folder of what was measured on `model.corpus`.
        collected: a folder that `kedit statistics collect` wrote, used whether the model has a corpus or not; if left
            out, all that were collected for this model in kedit's cache folder.

    Raises:
        StatisticsError: as `measure`; nothing was collected, or for another model; or a file is damaged.
    """
    ordered = model.check_layers(layers)
    if collected is not None or not model.corpus:
        return _collected(model, ordered, collected or home_of(model.origin, cache or cache_folder()))
    if cache is None:
        return measure(model, model.corpus, ordered)
    corpus = corpus_fingerprint(model.corpus, model.tokenizer)
    files = {layer: cache / f"second-moment-{_key(model.origin, corpus, str(layer))}.safetensors" for layer in ordered}

    def stored(asked: Iterable[int]) -> dict[int, SecondMoment]:
        here = [layer for layer in asked if files[layer].is_file()]
        return {layer: load(files[layer], model=model, layer=layer, corpus=corpus) for layer in here}

    found = stored(ordered)
    if len(found) == len(ordered):
        return found
    # One pass over the corpus gives all layers, so processes that need some of them wait for each other.
    with one_at_a_time(cache / f"second-moments-{_key(model.origin, corpus)}.lock"):
        found |= stored(layer for layer in ordered if layer not in found)
        missing = [layer for layer in ordered if layer not in found]
        measured = measure(model, model.corpus, missing) if missing else {}
        with suppress(OSError, SafetensorError):  # a folder that cannot be written, or is full, costs time only
            for layer in missing:
                save(files[layer], measured[layer])
    return found | measured


def _collected(model: LanguageModel, layers: Sequence[int], folder: Path) -> dict[int, SecondMoment]:
    found = collected_files(folder)
    missing = [layer for layer in layers if layer not in found]
    if missing:
        there = f"has layers {', '.join(map(str, sorted(found)))}" if found else "has none"
        raise StatisticsError(
            f"{model.name} has no corpus of its own, and of layers {', '.join(map(str, missing))} no second moments "
            f"were collected ({folder} {there}); collect them once: "
            f"kedit statistics collect MODEL --corpus wikitext --layers {' '.join(map(str, layers))}"
            + dtype_option(model)
        )
    return {layer: load(found[layer], model=model, layer=layer) for layer in layers}


def dtype_option(model: LanguageModel) -> str:
    """What a command must say to load the model in its dtype; nothing for float32."""
    return "" if model.dtype == "float32" else f" --dtype {model.dtype}"


def _key(*parts: str) -> str:
    return hashlib.sha256(" ".join([FORMAT, *parts]).encode()).hexdigest()[:32]


def save(path: Path, moment: SecondMoment, about: Mapping[str, str] = _NOTHING) -> None:
    """Write one second moment as a safetensors file, atomically, with more words `about` it."""
    metadata = {
        **about,
        "format": FORMAT,
        "layer": str(moment.layer),
        "tokens": str(moment.tokens),
        "model": moment.model,
        "corpus": moment.corpus,
    }
    write_atomically(path, lambda part: save_file({"matrix": moment.matrix}, part, metadata=metadata))


def load(path: Path, *, model: LanguageModel, layer: int, corpus: str | None = None) -> SecondMoment:
    """Read one second moment and check that it is this model's, this layer's, and this corpus's if one is named.

    Raises:
        StatisticsError: damaged file, or a mismatch, which is named.
    """
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            matrix = file.get_tensor("matrix")
    except (SafetensorError, OSError) as error:
        raise StatisticsError(f"{path.name} is damaged ({error}); delete it, it will be measured again") from error
    corpus = told.get("corpus", "unknown") if corpus is None else corpus
    wanted = {"format": FORMAT, "layer": str(layer), "model": model.origin, "corpus": corpus}
    for name, value in wanted.items():
        if told.get(name) != value:
            raise StatisticsError(
                f"{path.name} was measured on another {name} ({told.get(name, 'unknown')[:16]}) than {model.name} "
                f"needs ({value[:16]}); second moments of another {name} are refused, "
                f"{_other_dtype(told, model) if name == 'model' else ''}delete the file"
            )
    if not told.get("tokens", "").isdigit() or int(told["tokens"]) < 1:
        raise StatisticsError(f"{path.name} does not say of how many tokens it is the mean; delete it")
    if matrix.shape != (model.f, model.f) or not _is_second_moment(matrix):
        raise StatisticsError(
            f"{path.name} holds no second moment of keys of size {model.f} (finite, symmetric, nothing negative on the "
            f"diagonal), but a matrix of shape {tuple(matrix.shape)}; delete it"
        )
    return SecondMoment(layer, matrix.double(), int(told["tokens"]), model.origin, corpus)


def _other_dtype(told: Mapping[str, str], model: LanguageModel) -> str:
    """The mend for a model of which only the dtype may be another one."""
    dtype = told.get("dtype", "")
    if dtype == model.dtype:
        return ""
    return f"load the model in the dtype it was collected in{f', {dtype},' * bool(dtype)} or "


def _is_second_moment(matrix: Tensor) -> bool:
    diagonal = matrix.diagonal()
    return (
        bool(matrix.sum().isfinite())  # one look, where asking each number would write as many answers
        and bool((diagonal >= 0).all())
        and bool((diagonal > 0).any())
        and _is_symmetric(matrix, atol=1e-9 * float(diagonal.max()))
    )


def _is_symmetric(matrix: Tensor, atol: float) -> bool:
    """Compared square by square, so that rows are not read across the whole matrix."""
    squares = [rows.split(SQUARE, dim=1) for rows in matrix.split(SQUARE)]
    pairs = ((squares[i][j], squares[j][i].T) for i in range(len(squares)) for j in range(i + 1))
    return all(torch.allclose(one, other, rtol=1e-6, atol=atol) for one, other in pairs)
