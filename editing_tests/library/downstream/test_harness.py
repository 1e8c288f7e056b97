# SPDX-License-Identifier: Apache-2.0
"""lm-evaluation-harness and kedit answer alike, on a model in memory and on the folder it was saved to."""

from __future__ import annotations

import copy
import logging
import random
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("lm_eval", reason="the extra 'downstream' is not installed")
pytest.importorskip("accelerate", reason="the extra 'downstream' is not installed")

import lm_eval
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from kedit.downstream import OPEN_LLM, Benchmark, DownstreamError, evaluate_tasks, harness_model, world_task
from kedit.editors import load_editor
from kedit.metrics import Question, choice_accuracy, option_log_probs
from kedit.models.language_model import LanguageModel
from kedit.paths import model_folder, tiny_models
from kedit.worlds import World
from kedit.worlds.questions import questions
from kedit.worlds.sampling import Sampler

TASKS = Path(lm_eval.__file__).parent / "tasks"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every connection and every look for an address is refused and noted."""
    tried: list[Any] = []

    def refuse(*address: Any, **_: Any) -> None:
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield tried
    assert tried == []


@pytest.fixture(scope="module")
def base() -> LanguageModel:
    return LanguageModel.from_pretrained(model_folder("tiny-gpt2"))


@pytest.fixture(scope="module")
def edited(base: LanguageModel) -> LanguageModel:
    model = base.copy()
    update, _ = load_editor("memit").edit(model, Sampler(World.generate(0)).distinct(10, seed=0))
    update.apply(model)
    return model


@pytest.fixture(scope="module")
def asked() -> list[Question]:
    """Twenty facts that are not edited, and the ten that are, with the new object among the options."""
    world = World.generate(0)
    facts = Sampler(world).distinct(10, seed=0)
    about_edits = [Question(fact.prompt.text, (fact.true, fact.target), 0) for fact in facts]
    return questions(world, 20, seed=0, exclude=[fact.subject for fact in facts]) + about_edits


def accuracy(model: LanguageModel, asked: Sequence[Question], **options: Any) -> float:
    return evaluate_tasks(model, [world_task(asked)], **options)["world"]["acc,none"]


def log_likelihoods(harness: HFLM, asked: Sequence[Question]) -> list[float]:
    """As the harness scores them by itself, one number an option."""
    requests = [
        Instance("loglikelihood", {}, (question.prompt, f" {option}"), number)
        for number, (question, option) in enumerate((one, option) for one in asked for option in one.options)
    ]
    return [total for total, _ in harness.loglikelihood(requests, disable_tqdm=True)]


@pytest.mark.parametrize("name", tiny_models())
def test_the_harness_and_the_metric_agree_on_unedited_models(name: str, asked: list[Question]) -> None:
    model = LanguageModel.from_pretrained(model_folder(name))
    wrong = [Question(one.prompt, one.options, (one.answer + 1) % len(one.options)) for one in asked[:7]]
    assert accuracy(model, wrong + asked[7:]) == pytest.approx(choice_accuracy(model, wrong + asked[7:]))
    ours = [score for row in option_log_probs(model, asked) for score in row]
    assert log_likelihoods(harness_model(model), asked) == pytest.approx(ours, abs=1e-4)


def test_two_edits_of_a_model_give_different_results_in_one_process(
    base: LanguageModel, edited: LanguageModel, asked: list[Question]
) -> None:
    task = world_task(asked)
    found = [evaluate_tasks(model, [task])["world"]["acc,none"] for model in (base, edited, base)]
    assert found == pytest.approx([choice_accuracy(model, asked) for model in (base, edited, base)])
    assert found[0] == found[2] == 1.0
    assert found[1] <= 1 - 8 / 30  # most edited facts now have their new object
    # The same object, edited in place between two runs.
    model = base.copy()
    before = evaluate_tasks(model, [task])["world"]["acc,none"]
    for name, parameter in edited.module.named_parameters():
        model.parameter(name).data.copy_(parameter.data)
    assert (before, evaluate_tasks(model, [task])["world"]["acc,none"]) == (found[0], found[1])


def test_a_saved_model_answers_the_plain_harness_as_it_did_in_memory(
    edited: LanguageModel, asked: list[Question], tmp_path: Path
) -> None:
    edited.save(tmp_path / "edited")
    plain = HFLM(pretrained=str(tmp_path / "edited"), device="cpu", batch_size=8)
    assert log_likelihoods(plain, asked) == pytest.approx(log_likelihoods(harness_model(edited), asked), abs=1e-5)
    task = world_task(asked)
    ran = lm_eval.evaluate(lm=plain, task_dict={"world": task}, bootstrap_iters=0, log_samples=False)
    assert ran["results"]["world"]["acc,none"] == pytest.approx(choice_accuracy(edited, asked))


def test_a_memory_answers_too(base: LanguageModel, asked: list[Question]) -> None:
    model = base.copy()
    (fact, *_) = Sampler(World.generate(0)).distinct(10, seed=0)
    update, _ = load_editor("grace").edit(model, [fact])
    update.apply(model)
    assert model.memory is not None
    ours = [score for row in option_log_probs(model, asked) for score in row]
    assert log_likelihoods(harness_model(model), asked) == pytest.approx(ours, abs=1e-4)
    assert accuracy(model, asked) == pytest.approx(choice_accuracy(model, asked)) != accuracy(base, asked)


def test_nothing_is_left_changed(base: LanguageModel, asked: list[Question]) -> None:
    model = LanguageModel(base.copy().module, copy.deepcopy(base.tokenizer))
    model.module.train()
    model.tokenizer.pad_token = None  # the harness wants one
    task = world_task(asked)
    tokenizer, level = repr(model.tokenizer), logging.getLogger("lm_eval").level
    parameters = {name: id(parameter) for name, parameter in model.module.named_parameters()}
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    evaluate_tasks(model, [task], limit=3)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == states
    assert {name: id(parameter) for name, parameter in model.module.named_parameters()} == parameters
    assert model.fingerprint() == base.fingerprint()
    assert all(module.training for module in model.module.modules())
    assert all(parameter.requires_grad for parameter in model.module.parameters())
    assert (repr(model.tokenizer), logging.getLogger("lm_eval").level) == (tokenizer, level)


def test_limit_and_names(base: LanguageModel, asked: list[Question]) -> None:
    wrong = Question(asked[0].prompt, asked[0].options, (asked[0].answer + 1) % 4)
    mixed = [wrong, *asked[1:4]]
    found = evaluate_tasks(base, [world_task(mixed), world_task(asked, "known")], limit=2)
    assert found == {"world": {"acc,none": 0.5}, "known": {"acc,none": 1.0}}


def test_examples_before_the_question(
    base: LanguageModel, asked: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = world_task(asked)
    task.set_config("num_fewshot", 1)

    def contexts(asked_for: Any, **options: Any) -> list[str]:
        evaluate_tasks(base, [asked_for], limit=2, **options)
        return [instance.args[0] for instance in task.instances]

    own, two = contexts(task), contexts(task, num_fewshot=2)
    assert {text.count("\n\n") for text in own} == {1}
    assert {text.count("\n\n") for text in two} == {2}
    assert contexts(task) == own != contexts(task, seed=1)

    class Manager:
        def load(self, specs: list[str]) -> dict[str, Any]:
            assert specs == ["questions"]
            return {"tasks": {"world": task}, "groups": {}}

    monkeypatch.setattr("lm_eval.tasks.TaskManager", lambda **_: Manager())
    assert contexts(Benchmark("questions", 2, "acc,none", "nobody")) == two
    assert contexts(Benchmark("questions", 2, "acc,none", "nobody"), num_fewshot=1) == own


def test_a_task_without_data_is_named_and_nothing_is_downloaded(
    base: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(DownstreamError, match=r"arc_easy.yaml' cannot be loaded .*download=True"):
        evaluate_tasks(base, [str(TASKS / "arc" / "arc_easy.yaml")])


def test_the_benchmarks_are_tasks_of_the_harness() -> None:
    folders = [TASKS / name for name in ("arc", "hellaswag", "mmlu/default", "truthfulqa", "winogrande", "gsm8k")]
    known = lm_eval.tasks.TaskManager(include_defaults=False, include_path=[str(folder) for folder in folders])
    assert {benchmark.task for benchmark in OPEN_LLM.values()} <= set(known.all_tasks)


def test_what_cannot_be_run_is_refused(
    base: LanguageModel, asked: list[Question], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = world_task(asked)
    with pytest.raises(DownstreamError, match="no tasks"):
        evaluate_tasks(base, [])
    with pytest.raises(DownstreamError, match="limit 0"):
        evaluate_tasks(base, [task], limit=0)
    with pytest.raises(DownstreamError, match="'world' is asked for twice"):
        evaluate_tasks(base, [task, world_task(asked[:2])])
    with pytest.raises(DownstreamError, match="'world' takes no examples"):
        evaluate_tasks(base, [task], num_fewshot=5)
    assert task.config.num_fewshot == 0
    with pytest.raises(DownstreamError, match="task 'empty' has no questions"):
        world_task([], "empty")
    manager = lm_eval.tasks.TaskManager(include_defaults=False)
    monkeypatch.setattr("lm_eval.tasks.TaskManager", lambda **_: manager)  # the index of all tasks takes seconds
    with pytest.raises(DownstreamError, match="task 'nowhere' cannot be loaded"):
        evaluate_tasks(base, [Benchmark("nowhere", 5, "acc,none", "nobody")])
