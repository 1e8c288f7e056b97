# SPDX-License-Identifier: Apache-2.0
"""Teacher-forced scores against the model's own logits, and greedy against generation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from editing_tests.library.profiles import drawn
from editing_tests.library.random_models import TINY, random_model
from kedit.models import LanguageModel, score_targets, score_texts, scoring
from kedit.paths import fixtures_dir

PAIRS = [("Mira Solano is a citizen of", "2012"), ("Ada has", "Głogów County"), ("The club of Mira is", "x")]
PROMPTS = ("Ada has", "Ada has Głogów", "Mira Solano is a citizen of", "x", "In the year 2012 the {} of 東京 was")
TARGETS = ("x", "2012", "Głogów", "Głogów County", "County", "🙂", "a long way round the town")


@pytest.mark.parametrize("family", ["gpt2", "gptj", "llama", "qwen2"])
def test_scores_equal_the_models_own_logits(family: str) -> None:
    model = random_model(family)
    for (prompt, target), scored in zip(PAIRS, score_targets(model, PAIRS, batch_tokens=20), strict=True):
        ids = model.tokenizer(f"{prompt} {target}")["input_ids"]
        start = len(model.tokenizer(prompt)["input_ids"])
        with torch.no_grad():
            log_probs = model.module(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        expected = [float(log_probs[i - 1, ids[i]]) for i in range(start, len(ids))]
        torch.testing.assert_close(scored.log_probs, torch.tensor(expected).double(), rtol=1e-4, atol=1e-4)


def test_prompts_with_a_common_beginning_are_read_off_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model("gpt2")
    prompt, longer = "Mira Solano is a citizen of", "Mira Solano is a citizen of Spain and"
    pairs = [(prompt, "Spain"), (longer, "Eve May"), (prompt, "Spain"), (prompt, "Eve"), ("Ada has", "x")]
    alone = [score_targets(model, [pair])[0] for pair in pairs]
    passed: list[int] = []
    collate = scoring.collate
    monkeypatch.setattr(scoring, "collate", lambda rows, **kw: passed.append(len(rows)) or collate(rows, **kw))
    together = score_targets(model, pairs)
    inputs = {tuple(model.tokenizer(f"{prompt} {target}")["input_ids"][:-1]) for prompt, target in pairs}
    assert passed == [sum(not any(one != other and other[: len(one)] == one for other in inputs) for one in inputs)]
    assert passed[0] < len(inputs) < len(pairs)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.log_probs, other.log_probs, rtol=1e-5, atol=1e-6)
        assert one.greedy == other.greedy


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@drawn(0.3)
@given(
    pairs=st.lists(st.tuples(st.sampled_from(PROMPTS), st.sampled_from(TARGETS)), min_size=1, max_size=7),
    batch_tokens=st.integers(1, 120),
)
@example(pairs=[PAIRS[0], PAIRS[1], PAIRS[0]], batch_tokens=1)
@example(pairs=[("Ada has", "Głogów"), ("Ada has Głogów", "County")], batch_tokens=120)
def test_a_score_does_not_depend_on_its_company(family: str, pairs: list[tuple[str, str]], batch_tokens: int) -> None:
    """Pitfall 54: pads count nowhere, whatever runs together; doubles and beginnings of others are scored too."""
    model = random_model(family)
    for pair, scored in zip(pairs, score_targets(model, pairs, batch_tokens=batch_tokens), strict=True):
        (alone,) = score_targets(model, [pair])
        assert len(scored.log_probs) == len(alone.log_probs)
        torch.testing.assert_close(scored.log_probs, alone.log_probs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TINY)
def test_greedy_is_what_generation_writes(name: str) -> None:
    model = LanguageModel.from_pretrained(fixtures_dir() / "models" / name)
    prompts = [line.rsplit(" ", 1)[0] for line in model.corpus[:8]]
    for prompt in prompts:
        ids = torch.tensor([model.tokenizer(prompt)["input_ids"]])
        written = model.module.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=4, do_sample=False, pad_token_id=0
        )
        text = model.tokenizer.decode(written[0], skip_special_tokens=True)
        start = model.tokenizer.decode(ids[0], skip_special_tokens=True)
        target = text[len(start) :]
        if not target.startswith(" ") or target != f" {target.strip()}":
            continue
        (scored,) = score_targets(model, [(start, target.strip())])
        joint = model.tokenizer(text)["input_ids"]
        assert scored.greedy or joint != written[0].tolist()
        (wrong,) = score_targets(model, [(start, "archery Spain")])
        assert not wrong.greedy


def test_a_texts_first_token_is_not_scored() -> None:
    model = random_model("gpt2")
    (scored,) = score_texts(model, ["Mira Solano lives here"])
    assert len(scored.log_probs) == len(model.tokenizer("Mira Solano lives here")["input_ids"]) - 1
