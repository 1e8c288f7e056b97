# SPDX-License-Identifier: Apache-2.0
"""Collections: the sum is that of the tokens, whatever is killed, and however it is cut into shards."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from editing_tests.library.models.fake_devices import HOST, fake_devices, place, put
from editing_tests.library.random_models import random_model
from editing_tests.library.statistics.shard_examples import (
    LAYERS,
    TEXTS,
    TOKENS,
    collected,
    corpus_of,
    damage,
    matrices,
    same_bits,
)
from kedit.files import one_at_a_time
from kedit.models.activations import Site, read
from kedit.models.language_model import LanguageModel
from kedit.models.tokens import Row
from kedit.statistics import StatisticsError, measure
from kedit.statistics.collecting import Estimate, estimate, make_plan
from kedit.statistics.gram import Gram
from kedit.statistics.portions import Portion, beginning, portions
from kedit.statistics.shards import merge, merge_alone, read_shard, read_sums

SHARD = "shard-1-of-1.safetensors"


class Stopped(Exception):
    """What stands for a kill that a process survives."""


def stop_after(tokens: int) -> Callable[[int, int], None]:
    def stop(done: int, _of: int) -> None:
        if done > tokens:
            raise Stopped

    return stop


def cut(tokens: int, size: int, texts: list[str] = TEXTS, limit: int = 96) -> list[Portion]:
    return list(portions(random_model("gpt2").tokenizer, texts, limit=limit, size=size, tokens=tokens))


def test_portions_hold_the_first_tokens_of_the_texts_in_rows_of_the_context() -> None:
    model = random_model("gpt2")
    found = cut(1000, 300)
    rows = [row for portion in found for row in portion.rows]
    ids = [token for text in TEXTS for token in model.tokenizer(text)["input_ids"]]
    assert [token for row in rows for token in row.ids] == ids[:1000]
    assert max(len(row.ids) for row in rows) == 96
    assert [portion.seen for portion in found][-1] == 1000
    assert all(portion.tokens >= 300 for portion in found[:-1])
    assert found == cut(1000, 300)
    assert [one.fingerprint for one in found] != [one.fingerprint for one in cut(1000, 300, TEXTS[1:])]


def test_the_mean_is_that_of_every_token(tmp_path: Path) -> None:
    model = random_model("llama")
    rows = [row for portion in cut_for(model, 300) for row in portion.rows]
    expected = {layer: torch.zeros(model.f, model.f, dtype=torch.float64) for layer in LAYERS}
    for layer in LAYERS:
        for row in rows:
            every = [Row(row.ids, None, len(row.ids))] * len(row.ids)
            keys = read(model, every, range(len(row.ids)), [Site("key", layer)])[Site("key", layer)].double()
            expected[layer] += keys.T @ keys / 300
    collected(tmp_path, model=model, tokens=300)
    for layer, matrix in matrices(tmp_path).items():
        torch.testing.assert_close(matrix, expected[layer], rtol=1e-5, atol=1e-6)
        assert torch.equal(matrix, matrix.T)


def cut_for(model: object, tokens: int) -> list[Portion]:
    return list(portions(model.tokenizer, TEXTS, limit=96, size=512, tokens=tokens))  # type: ignore[attr-defined]


def test_all_tokens_of_a_corpus_that_ends_give_what_measure_gives(tmp_path: Path) -> None:
    """The sixth one is longer than the model's context."""
    shard = collected(tmp_path, tokens=10**6)
    expected = measure(random_model("gpt2"), TEXTS, LAYERS)
    assert shard.is_complete and shard.tokens == expected[0].tokens
    for layer, matrix in matrices(tmp_path).items():
        torch.testing.assert_close(matrix, expected[layer].matrix, rtol=1e-5, atol=1e-6)


def test_half_precision_models_have_sums_of_their_own(tmp_path: Path) -> None:
    """Their batches differ by their own rounding, 1/256, and not by that of the sum."""
    full = random_model("gpt2")
    model = LanguageModel(full.copy().module.to(torch.bfloat16), full.tokenizer)
    collected(tmp_path, model=model)
    assert model.origin != full.origin
    collected(tmp_path / "full", model=full)
    found, expected = matrices(tmp_path), matrices(tmp_path / "full")
    for layer in LAYERS:
        assert 1e-5 < float((found[layer] - expected[layer]).norm() / expected[layer].norm()) < 3e-2


@pytest.mark.parametrize("at", [1, 4])
def test_what_was_stopped_goes_on_where_it_was(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collected(tmp_path / "whole")
    portion = 0

    def stop(_done: int, _of: int) -> None:
        nonlocal portion
        portion += 1
        if portion == at + 1:
            raise Stopped

    with pytest.raises(Stopped):
        collected(tmp_path / "parts", every=0.0, after=stop)
    assert read_shard(tmp_path / "parts" / SHARD).done == at
    measured: list[int] = []
    collected(tmp_path / "parts", every=0.0, after=lambda done, _of: measured.append(done))
    assert measured[-1] == TOKENS and len(measured) == len(cut(TOKENS, 512)) - at
    assert same_bits(tmp_path / "whole" / SHARD, tmp_path / "parts" / SHARD)
    again: list[int] = []
    collected(tmp_path / "parts", after=lambda done, _of: again.append(done))
    assert not again, "a finished shard is not measured again"


def test_a_killed_process_leaves_what_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing the third checkpoint."""
    collected(tmp_path / "whole")
    child = os.fork()
    if not child:
        flush, flushed = os.fsync, 0

        def kill(descriptor: int) -> None:
            nonlocal flushed
            flushed += 1
            if flushed == 5:  # a file and its folder for each checkpoint
                os.kill(os.getpid(), signal.SIGKILL)
            flush(descriptor)

        os.fsync = kill
        try:
            collected(tmp_path / "parts", every=0.0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    left = sorted(path.name for path in (tmp_path / "parts").iterdir() if path.name.startswith(f".{SHARD}"))
    assert left and read_shard(tmp_path / "parts" / SHARD).done == 2
    collected(tmp_path / "parts", every=0.0)
    assert same_bits(tmp_path / "whole" / SHARD, tmp_path / "parts" / SHARD)
    assert not [path for path in (tmp_path / "parts").iterdir() if path.name in left], "what was half written is gone"


def test_shards_add_up_to_the_whole(tmp_path: Path) -> None:
    collected(tmp_path / "whole")
    shards = [collected(tmp_path / "parts", index=index, shards=3) for index in (3, 1, 2)]
    assert sum(shard.tokens for shard in shards) == TOKENS
    assert all(shard.tokens > 0 for shard in shards)
    whole, parts = matrices(tmp_path / "whole"), matrices(tmp_path / "parts")
    for layer in LAYERS:
        torch.testing.assert_close(parts[layer], whole[layer], rtol=1e-12, atol=1e-14)


def test_shards_that_do_not_belong_together_are_not_added(tmp_path: Path) -> None:
    with pytest.raises(StatisticsError, match="has no shards"):
        merge(tmp_path)
    collected(tmp_path, index=1, shards=2)
    with pytest.raises(StatisticsError, match="lacks shards 2 of 2"):
        merge(tmp_path)
    other = [*TEXTS[:-1], "another end"]
    with pytest.raises(StatisticsError, match=r"shard-2-of-2.* measured on other texts"):
        collected(tmp_path, index=2, shards=2, texts=[*TEXTS[1:], TEXTS[0]])
        merge(tmp_path)
    (tmp_path / "shard-2-of-2.safetensors").unlink()
    collected(tmp_path, index=2, shards=2, texts=other)  # what stands behind the last token is no part of it
    merge(tmp_path)
    (tmp_path / "shard-2-of-2.safetensors").unlink()
    collected(tmp_path, index=2, shards=2, model=random_model("gpt2", seed=1))
    with pytest.raises(StatisticsError, match="of another collection: model is"):
        merge(tmp_path)


def test_a_damaged_shard_is_not_added(tmp_path: Path) -> None:
    collected(tmp_path)
    damage(tmp_path / SHARD, "0.3", lambda strip: strip * 1.001)
    with pytest.raises(StatisticsError, match=rf"{SHARD} is damaged .* delete it"):
        merge(tmp_path)


def test_an_unfinished_shard_is_not_added(tmp_path: Path) -> None:
    def stop(done: int, _of: int) -> None:
        if done > 1200:
            raise Stopped

    with pytest.raises(Stopped):
        collected(tmp_path, every=0.0, after=stop)
    with pytest.raises(StatisticsError, match="is not finished; run its command again"):
        merge(tmp_path)


def test_a_shard_goes_on_with_its_own_model_texts_and_size_only(tmp_path: Path) -> None:
    def stop(done: int, _of: int) -> None:
        if done > 1200:
            raise Stopped

    with pytest.raises(Stopped):
        collected(tmp_path, every=0.0, after=stop)
    with pytest.raises(StatisticsError, match="of another collection: model is"):
        collected(tmp_path, model=random_model("gpt2", seed=1))
    with pytest.raises(StatisticsError, match="of another collection: tokens is 4000 there and 5000 here"):
        collected(tmp_path, tokens=5000)
    with pytest.raises(StatisticsError, match="the texts of texts are others than when the shard was begun"):
        collected(tmp_path, texts=["A new beginning", *TEXTS])
    with pytest.raises(StatisticsError, match="the texts of texts are others than when the shard was begun"):
        collected(tmp_path, texts=TEXTS[:3])


def test_a_finished_shard_still_belongs_to_its_texts(tmp_path: Path) -> None:
    collected(tmp_path)
    for texts in (["A new beginning", *TEXTS], [*TEXTS[:20], "Another one", *TEXTS[20:]], TEXTS[:3], []):
        with pytest.raises(StatisticsError, match="the texts of texts are others than when the shard was begun"):
            collected(tmp_path, texts=texts)
    collected(tmp_path / "all", tokens=10**6, texts=TEXTS[:50])
    with pytest.raises(StatisticsError, match="the texts of texts are others than when the shard was begun"):
        collected(tmp_path / "all", tokens=10**6, texts=TEXTS[:51])
    assert collected(tmp_path / "all", tokens=10**6, texts=TEXTS[:50]).is_complete


def test_two_shards_that_end_together_are_added_once(tmp_path: Path) -> None:
    for index in (1, 2):
        collected(tmp_path, index=index, shards=2)
    with ThreadPoolExecutor(1) as other:
        with one_at_a_time(tmp_path / ".layers.lock"):
            with pytest.raises(StatisticsError, match=r"another process adds the shards of .* up; wait"):
                merge_alone(tmp_path, wait=0.0)
            waiting = other.submit(merge_alone, tmp_path)
            path = merge(tmp_path)[0]
            written = path.stat().st_ino
        waiting.result()
    assert path.stat().st_ino == written
    merge_alone(tmp_path, again=True)
    assert path.stat().st_ino != written
    path.unlink()
    merge_alone(tmp_path)
    assert path.is_file()


def test_sums_of_a_device_without_float64_are_on_the_host() -> None:
    keys = torch.randn(5, 24, generator=torch.Generator().manual_seed(0))
    for exact in (False, True):
        gram = Gram(24, exact=exact)
        with fake_devices():
            gram.add(put(keys.clone(), torch.device("mps")))
            assert {place(strip) for strip in gram.strips} == {HOST}
        torch.testing.assert_close(gram.matrix(), keys.double().T @ keys.double(), rtol=1e-5, atol=1e-6)


def test_the_beginning_of_texts_has_the_tokens_asked_for() -> None:
    tokenizer = random_model("gpt2").tokenizer
    found = list(beginning(tokenizer, iter(TEXTS), 100))
    counts = [len(tokenizer(text)["input_ids"]) for text in found]
    assert found == TEXTS[: len(found)] and sum(counts[:-1]) < 100 <= sum(counts)
    assert list(beginning(tokenizer, TEXTS[:3], 10**6)) == TEXTS[:3]
    assert not list(beginning(tokenizer, TEXTS, 0))


def test_two_processes_do_not_write_one_shard(tmp_path: Path) -> None:
    def again(_done: int, _of: int) -> None:
        collected(tmp_path)

    with pytest.raises(StatisticsError, match="another process writes shard 1 of 1"):
        collected(tmp_path, after=again)


def test_an_edited_model_is_refused(tmp_path: Path) -> None:
    model = random_model("gpt2")
    with torch.no_grad():
        model.module.get_parameter(model.weight_name(0)).add_(0.1)
    with pytest.raises(StatisticsError, match="is not as it was loaded"):
        collected(tmp_path, model=model)


def test_wrong_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StatisticsError, match="nothing to collect"):
        collected(tmp_path, tokens=0)
    with pytest.raises(StatisticsError, match="there is no shard 3 of 2"):
        collected(tmp_path, index=3, shards=2)
    with pytest.raises(StatisticsError, match="the corpus texts has no texts"):
        collected(tmp_path, texts=[])


def test_the_estimate_comes_first_and_counts_what_is_left(tmp_path: Path) -> None:
    told: list[object] = []
    collected(tmp_path, before=told.append, after=lambda done, _of: told.append(done))
    first = told[0]
    assert isinstance(first, Estimate) and not [one for one in told[1:] if isinstance(one, Estimate)]
    assert first.tokens == TOKENS and first.seconds > 0 and first.speed > 0
    model = random_model("gpt2")
    strips = sum(8 * 3 * 3 * n for n in range(1, 9))  # keys of size 24, eight strips of height 3
    assert first.disk == 2 * (strips + 8 * 24 * 24)
    assert first.weights == sum(4 * one.numel() for one in model.module.parameters())
    assert make_plan(model, corpus_of(), LAYERS).tokens == 10 * model.f
    plan = make_plan(model, corpus_of(), LAYERS, tokens=TOKENS, shards=2)
    with pytest.raises(Stopped):
        collected(tmp_path / "parts", shards=2, every=0.0, after=stop_after(1200))
    begun = read_shard(tmp_path / "parts" / "shard-1-of-2.safetensors")
    left = estimate(model, corpus_of(), plan, tmp_path / "parts")
    assert begun.tokens > 0 and left.tokens == TOKENS // 2 - begun.tokens
    assert left.disk == 2 * 8 * 24 * 24
    other = estimate(model, corpus_of(), plan, tmp_path / "parts", index=2)
    assert other.tokens == TOKENS // 2 and other.disk == first.disk


def test_what_goes_on_needs_the_rest_of_the_disk_and_one_set_of_sums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped):
        collected(tmp_path, every=0.0, after=stop_after(1200))
    steps: list[str] = []

    def noted(*given: Any) -> Any:
        steps.append("read")
        return read_sums(*given)

    monkeypatch.setattr("kedit.statistics.collecting.read_sums", noted)
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=2 * 8 * 24 * 24))
    assert collected(tmp_path, before=lambda _told: steps.append("estimated")).is_complete
    assert steps == ["estimated", "read"]


def test_a_full_disk_is_seen_before_anything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=1))
    with pytest.raises(StatisticsError, match="GB of free space"):
        collected(tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
