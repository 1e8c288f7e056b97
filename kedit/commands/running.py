# SPDX-License-Identifier: Apache-2.0
"""Runs a command: one answer on stdout, or one line on stderr that says what is wrong and the mend."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch

from kedit.commands.answers import Answer, json_data
from kedit.commands.datasets import dataset
from kedit.commands.editing import commit, edit, undo
from kedit.commands.experiments import experiment
from kedit.commands.listing import editors
from kedit.commands.looking import diff, evaluate, export, log
from kedit.commands.probing import probe
from kedit.commands.statistics import statistics
from kedit.datasets import DatasetError
from kedit.editors.base import EditorError
from kedit.experiments.experiment import ExperimentError
from kedit.facts import FactError
from kedit.locate_then_edit.solvers import SolveError
from kedit.metrics.metric import MetricError
from kedit.models.architectures import ModelError
from kedit.probing import ProbeError
from kedit.sessions import SessionError
from kedit.statistics.second_moments import StatisticsError
from kedit.updates import UpdateError

__all__ = ["execute"]

FAILED, WRONG = 1, 2
_ROOM = "give --dtype bfloat16, edit fewer facts or layers at once, or use a device with more"
WRONG_INPUT = (
    DatasetError, EditorError, ExperimentError, FactError, MetricError, ModelError, ProbeError, SessionError,
    StatisticsError,
)  # fmt: skip
COMMANDS: Mapping[str, Callable[[Namespace], Answer]] = MappingProxyType(
    {
        "dataset": dataset,
        "editors": editors,
        "edit": edit,
        "undo": undo,
        "commit": commit,
        "log": log,
        "diff": diff,
        "evaluate": evaluate,
        "export": export,
        "experiment": experiment,
        "probe": probe,
        "statistics": statistics,
    }
)


def execute(options: Namespace) -> int:
    """Run the command named in the options; returns the exit status, 0 done, 1 failed, 2 wrong usage or files."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    if str(Path.cwd()) not in sys.path:  # an editor of one's own may lie here
        sys.path.append(str(Path.cwd()))
    try:
        answer = COMMANDS[options.command](options)
    except KeyboardInterrupt:
        return _fail("interrupted; nothing was changed", FAILED)
    except (UpdateError, SolveError, OSError) as error:
        return _fail(str(error), WRONG if isinstance(error, FileNotFoundError) else FAILED)
    except WRONG_INPUT as error:
        return _fail(str(error), WRONG)
    except torch.OutOfMemoryError as error:
        return _fail(f"the device has too little memory ({str(error).split('. ')[0]}); {_ROOM}", FAILED)
    text = json.dumps(json_data(answer.data), indent=1, allow_nan=False) if options.json else "\n".join(answer.lines)
    sys.stdout.write(text + "\n")
    return _fail(answer.failure, FAILED) if answer.failure else 0


def _fail(message: str, status: int) -> int:
    sys.stderr.write(f"kedit: {' '.join(message.split())}\n")
    return status
