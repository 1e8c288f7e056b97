# SPDX-License-Identifier: Apache-2.0
"""Second moments of keys: `C = (1/N) sum_t k_t k_t^T`, uncentred, over the tokens of a corpus.

`lambda C` stands for the keys that an edit must preserve (MEMIT; D4S eq. 8, `Cov`). `C` belongs to the unedited model
it was measured on and is refused for any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kedit.facts import Prompt
from kedit.files import one_at_a_time, write_atomically
from kedit.models.activations import BATCH_TOKENS, Site, chunks, ending_after, hooked, run
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row, Text, collate, encode, tokenizer_fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["SecondMoment", "StatisticsError", "corpus_fingerprint", "measure", "second_moments"]

FORMAT = "kedit second moment 2"


class StatisticsError(ValueError):
    """Second moments that are missing, damaged, of another model, or of too few tokens."""


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
    _penalties: dict[tuple[float, float], Tensor] = field(default_factory=dict, repr=False, compare=False)
    _factors: dict[float, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def damped(self, damping: float) -> Tensor:
        """`C + damping * trace(C) / f * I`, `(f, f)` float64."""
        matrix = self.matrix.clone()
        matrix.diagonal().add_(damping * matrix.diagonal().mean())
        return matrix

    def penalty(self, damping: float, strength: float) -> Tensor:
        """`strength * damped(damping)`, `(f, f)` float64, kept on this object: at `f` = 16384 it has 2 GiB, too much to
        make anew at every edit."""
        if (damping, strength) not in self._penalties:
            self._penalties[damping, strength] = self.damped(damping).mul_(strength)
        return self._penalties[damping, strength]

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
        GPT-J would take 12 GiB there, and bringing one over is short work beside a batch.

        Raises:
            StatisticsError: fewer tokens than `f`, or rank-deficient all the same.
        """
        self.check_tokens()
        f = self.matrix.shape[0]
        if damping not in self._factors:
            lower, info = torch.linalg.cholesky_ex(self.damped(damping).to(device))
            if int(info) != 0:
                rank = int(torch.linalg.matrix_rank(self.matrix, hermitian=True))
                raise StatisticsError(
                    f"the second moment of layer {self.layer} has rank {rank} of {f} after {self.tokens} tokens: "
                    f"{f - rank} independent tokens are missing; give a more varied corpus, or damping > 0"
                )
            self._factors[damping] = lower.to(self.matrix.device)
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

    Every real token counts once, the first included; padding never does.

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
    sums = {layer: torch.zeros(model.f, model.f, dtype=torch.float64) for layer in ordered}
    counted = 0
    rows = encode(model.tokenizer, [Text(Prompt(text, "", "")) for text in texts if text])
    with torch.no_grad(), model.frozen():
        for chunk in chunks([len(row.ids) for row in rows], batch_tokens):
            counted += _add(model, [rows[i] for i in chunk], sums)
    corpus = corpus_fingerprint(texts, model.tokenizer)
    return {layer: SecondMoment(layer, total / counted, counted, model.origin, corpus) for layer, total in sums.items()}


def _add(model: LanguageModel, rows: Sequence[Row], sums: dict[int, Tensor]) -> int:
    batch = collate(rows, device=model.device)
    real = batch.mask.bool()

    def add_to(total: Tensor) -> Callable[[Tensor], None]:
        def add(keys: Tensor) -> None:
            flat = keys[real.to(keys.device)].double().cpu()
            total.addmm_(flat.T, flat)

        return add

    with ExitStack() as stack:
        for layer, total in sums.items():
            stack.enter_context(hooked(model, Site("key", layer), add_to(total)))
        stack.enter_context(ending_after(model, max(sums)))
        run(model, batch, use_cache=False)
    return int(real.sum())


def second_moments(
    model: LanguageModel, layers: Sequence[int], *, cache: Path | None = None
) -> dict[int, SecondMoment]:
    """The second moments of `model.corpus`, from the cache folder where it has them, else measured and stored there.

    Of several processes that need the same ones, one measures and the others wait for it and read.

    Raises:
        StatisticsError: as `measure`, or a cached file is damaged.
    """
    ordered = model.check_layers(layers)
    if cache is None:
        return measure(model, model.corpus, ordered)
    corpus = corpus_fingerprint(model.corpus, model.tokenizer)
    files = {layer: cache / f"second-moment-{_key(model.origin, corpus, str(layer))}.safetensors" for layer in ordered}

    def stored() -> dict[int, SecondMoment]:
        here = [layer for layer in ordered if files[layer].is_file()]
        return {layer: load(files[layer], model=model, layer=layer, corpus=corpus) for layer in here}

    found = stored()
    if len(found) == len(ordered):
        return found
    # One pass over the corpus gives all layers, so processes that need some of them wait for each other.
    with one_at_a_time(cache / f"second-moments-{_key(model.origin, corpus)}.lock"):
        found = stored()
        missing = [layer for layer in ordered if layer not in found]
        measured = measure(model, model.corpus, missing) if missing else {}
        with suppress(OSError, SafetensorError):  # a folder that cannot be written, or is full, costs time only
            for layer in missing:
                save(files[layer], measured[layer])
    return found | measured


def _key(*parts: str) -> str:
    return hashlib.sha256(" ".join([FORMAT, *parts]).encode()).hexdigest()[:32]


def save(path: Path, moment: SecondMoment) -> None:
    """Write one second moment as a safetensors file, atomically."""
    metadata = {
        "format": FORMAT,
        "layer": str(moment.layer),
        "tokens": str(moment.tokens),
        "model": moment.model,
        "corpus": moment.corpus,
    }
    write_atomically(path, lambda part: save_file({"matrix": moment.matrix}, part, metadata=metadata))


def load(path: Path, *, model: LanguageModel, layer: int, corpus: str) -> SecondMoment:
    """Read one second moment and check that it is this model's, this corpus's and this layer's.

    Raises:
        StatisticsError: damaged file, or a mismatch, which is named.
    """
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            matrix = file.get_tensor("matrix")
    except (SafetensorError, OSError) as error:
        raise StatisticsError(f"{path.name} is damaged ({error}); delete it, it will be measured again") from error
    wanted = {"format": FORMAT, "layer": str(layer), "model": model.origin, "corpus": corpus}
    for name, value in wanted.items():
        if told.get(name) != value:
            raise StatisticsError(
                f"{path.name} was measured on another {name} ({told.get(name, 'unknown')[:16]}) than {model.name} "
                f"needs ({value[:16]}); second moments of another {name} are refused, delete the file"
            )
    if not told.get("tokens", "").isdigit() or int(told["tokens"]) < 1:
        raise StatisticsError(f"{path.name} does not say of how many tokens it is the mean; delete it")
    if matrix.shape != (model.f, model.f) or not _is_second_moment(matrix):
        raise StatisticsError(
            f"{path.name} holds no second moment of keys of size {model.f} (finite, symmetric, nothing negative on the "
            f"diagonal), but a matrix of shape {tuple(matrix.shape)}; delete it"
        )
    return SecondMoment(layer, matrix.double(), int(told["tokens"]), model.origin, corpus)


def _is_second_moment(matrix: Tensor) -> bool:
    diagonal = matrix.diagonal()
    return (
        bool(torch.isfinite(matrix).all())
        and bool((diagonal >= 0).all())
        and bool((diagonal > 0).any())
        and torch.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-9 * float(diagonal.max()))
    )
