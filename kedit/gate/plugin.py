# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: options, fixtures, selection, known failures, report and verdict.

Imports stay light, because every pytest run of an environment with kedit loads this module.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kedit.gate.options import GateOptions, add_options
from kedit.gate.reporting import GateReporter
from kedit.gate.selection import JUDGE, NODE, PROPERTY, TABLE, parameters_of, prepare

if TYPE_CHECKING:
    from kedit.gate.bench import Bench, Gate
    from kedit.gate.cases import Case
    from kedit.gate.run import GateRun

_OPTIONS = pytest.StashKey[GateOptions]()
_RUN = pytest.StashKey["GateRun"]()
_STALE = "editing_stale"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the gate's options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers; check the options before anything is collected."""
    config.addinivalue_line(
        "markers",
        f"{PROPERTY}(id, needs=(), excludes=(), long=False): a property of editors, the tags it needs, those it does "
        "not apply to, whether it is long",
    )
    config.addinivalue_line("markers", f"{TABLE}: compares a table of metrics with the stored one")
    options = config.stash[_OPTIONS] = GateOptions.from_pytest(config)
    if options.given:
        gate_run(config)
    if options.editors and hasattr(config.option, "warn_unused_snapshots"):
        # Tables of the editors that are not judged are unused, and that is no failure.
        config.option.warn_unused_snapshots = True
    if not _is_worker(config):
        reporter = GateReporter(options, lambda: gate_run(config))
        config.pluginmanager.register(reporter, "kedit.gate.reporter")


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Print the catalogue instead of running, if it was asked for."""
    if not config.getoption("gate_properties"):
        return None
    from kedit.gate.catalogue import catalogue, describe
    from kedit.gate.run import suite_folder
    from kedit.gate.thresholds import Thresholds

    folder = suite_folder()
    sys.stdout.write(describe(catalogue(folder, Thresholds.read(folder / "thresholds.toml"))))
    return int(pytest.ExitCode.OK)


def gate_run(config: pytest.Config) -> GateRun:
    """The data of this run of the gate, made when it is first needed."""
    from kedit.gate.run import GateRun

    if _RUN not in config.stash:
        config.stash[_RUN] = GateRun(config.stash[_OPTIONS], config.invocation_params.dir)
    return config.stash[_RUN]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over the tests of kedit itself when an editor is judged: they need more than a wheel carries."""
    options = config.stash[_OPTIONS]
    return True if options.editors and collection_path == gate_run(config).folder / "library" else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that takes the gate on each case."""
    if "gate_case" in metafunc.fixturenames:
        cases = gate_run(metafunc.config).cases
        metafunc.parametrize("gate_case", cases, ids=[str(case) for case in cases])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select, order and mark; before -k and -m have their say, so that stale expectations are told from unselected.

    Raises:
        pytest.UsageError: an expectation that matches no test, where all properties were collected.
    """
    left_out = prepare(items, config.stash[_OPTIONS], lambda: gate_run(config))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    nodes = [item.stash[NODE] for item in items if NODE in item.stash]
    if not nodes or {node.property for node in nodes} < gate_run(config).thresholds.properties:
        return
    stale = gate_run(config).stale()
    if not stale:
        return
    message = f"{stale[0].origin}: no test of {stale[0].property} matches it; correct or remove it"
    if not _is_worker(config):
        raise pytest.UsageError(message)
    config.workeroutput[_STALE] = message  # type: ignore[attr-defined]  # the controller raises it
    items.clear()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Raise what an xdist worker found wrong with the expectations."""
    message = getattr(node, "workeroutput", {}).get(_STALE)
    if message:
        raise pytest.UsageError(message)


@pytest.fixture(scope="session")
def gate_bench(request: pytest.FixtureRequest) -> Bench:
    """Models, worlds and shared measurements of this worker."""
    from kedit.gate.bench import Bench

    return Bench(gate_run(request.config))


@pytest.fixture
def gate(request: pytest.FixtureRequest, gate_case: Case, gate_bench: Bench) -> Gate:
    """The editor, the model, the facts and the judge of one property test."""
    from kedit.gate.bench import Gate

    judge = request.node.stash.get(JUDGE, None)
    if judge is not None:
        judge.start()
    return Gate(gate_bench, gate_case, parameters_of(request.node), judge)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """After a property test has judged all its numbers, fail with all that are wrong."""
    __tracebackhide__ = True
    result = yield
    judge = pyfuncitem.stash.get(JUDGE, None)
    if judge is not None:
        judge.finish()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the rows travel with the report, from a worker to the controller too."""
    report = yield
    node = item.stash.get(NODE, None)
    if node is not None:
        report.user_properties = [*report.user_properties, ("editing", node.as_data())]
    return report


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
