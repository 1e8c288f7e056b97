# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: options, fixtures, selection, known failures, report and verdict.

Imports stay light, because every pytest run of an environment with kedit loads this module.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from kedit.gate.crashes import Crashes, tell_nodes
from kedit.gate.deadlines import Deadlines, overdue
from kedit.gate.full_options import GPU, GPU_LARGE
from kedit.gate.guarding import as_failure, interrupts
from kedit.gate.known_failures import KnownFailures
from kedit.gate.options import GateOptions, add_options
from kedit.gate.reporting import GateReporter
from kedit.gate.selection import FULL_MODEL, JUDGE, NODE, PROPERTY, TABLE, parameters_of, prepare
from kedit.gate.skipping import NotPossibleHere, raised_by_kedit

if TYPE_CHECKING:
    from kedit.gate.bench import Bench, Gate
    from kedit.gate.cases import Case
    from kedit.gate.run import GateRun

_OPTIONS = pytest.StashKey[GateOptions]()
_RUN = pytest.StashKey["GateRun"]()
_DEADLINES = pytest.StashKey[Deadlines]()
_RESTARTS = 1000
_REFUSED = "editing_refused"
_APPLICABLE = "editing_applicable"
_KNOWN = "kedit.gate.known_failures"
_DAMAGE = (
    "weights of the unedited model were changed, and not by an update (see contract.pure-edit); work on model.copy(), "
    "or write by LanguageModel.write"
)
# A plugin of this name may give editors that are there already, in its attribute `editors`, a mapping from names.
GIVEN = "kedit.gate.given"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the gate's options."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register markers; check the options before anything is collected."""
    if config.getoption("--hypothesis-profile", default=None):
        # Before Hypothesis loads what was asked for; it is not imported for runs that do not ask.
        from kedit.gate.drawing import register_profiles

        register_profiles()
    config.addinivalue_line(
        "markers",
        f"{PROPERTY}(id, needs=(), excludes=(), long=False, quick=None, knowledge=False): a property of editors, the "
        "tags it needs, those it does not apply to, whether it is long, the parameters of the one case of it that a "
        "quick run keeps, whether it asks for what a model with random weights cannot know",
    )
    config.addinivalue_line("markers", f"{GPU}: on full models, which need an accelerator unless --device cpu is given")
    config.addinivalue_line("markers", f"{GPU_LARGE}: on full models of five billion parameters or more; has {GPU} too")
    config.addinivalue_line("markers", f"{FULL_MODEL}: whether a full model is at hand")
    config.addinivalue_line("markers", f"{TABLE}: compares a table of metrics with the stored one")
    options = config.stash[_OPTIONS] = GateOptions.from_pytest(config)
    if options.given:
        gate_run(config)
    if options.editors and hasattr(config.option, "warn_unused_snapshots"):
        # Tables of the editors that are not judged are unused, and that is no failure.
        config.option.warn_unused_snapshots = True
        if options.tables and not config.option.default_extension:
            # An update would delete them: syrupy's own default takes every file beside a table for a forgotten one.
            config.option.default_extension = "kedit.gate.snapshots.NamedEditorTable"
    deadlines = config.stash[_DEADLINES] = Deadlines(options.timeout)
    config.pluginmanager.register(deadlines, "kedit.gate.deadlines")
    if not _is_worker(config):
        crashes = Crashes(options.timeout)
        config.pluginmanager.register(crashes, "kedit.gate.crashes")
        reporter = GateReporter(options, lambda: gate_run(config), crashes)
        config.pluginmanager.register(reporter, "kedit.gate.reporter")
        if options.write_expectations is not None:
            known = KnownFailures(options.write_expectations, lambda: gate_run(config))
            config.pluginmanager.register(known, _KNOWN)
    if options.editors and getattr(config.option, "maxworkerrestart", "") is None:
        # An editor may end a worker at every property, and all are judged; pytest-xdist gives up much earlier.
        config.option.maxworkerrestart = str(_RESTARTS)


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
        given = getattr(config.pluginmanager.get_plugin(GIVEN), "editors", None)
        config.stash[_RUN] = GateRun(config.stash[_OPTIONS], config.invocation_params.dir, given)
    return config.stash[_RUN]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over the tests of kedit itself when an editor or a full model is judged: they need more than a wheel has."""
    options = config.stash[_OPTIONS]
    judges = options.editors or options.full is not None
    return True if judges and collection_path == gate_run(config).folder / "library" else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that takes the gate on each case."""
    if "gate_case" in metafunc.fixturenames:
        run = gate_run(metafunc.config)
        marked = [pytest.param(case, marks=_sizes(case.large) if run.candidates else ()) for case in run.cases]
        metafunc.parametrize("gate_case", marked, ids=[str(case) for case in run.cases])
    if "full_model" in metafunc.fixturenames and metafunc.config.stash[_OPTIONS].full is not None:
        found = gate_run(metafunc.config).candidates
        marked = [pytest.param(one, marks=_sizes(one.large)) for one in found]
        metafunc.parametrize("full_model", marked, ids=[one.name for one in found])


def _sizes(large: bool) -> tuple[pytest.MarkDecorator, ...]:
    return (pytest.mark.gpu, pytest.mark.gpu_large) if large else (pytest.mark.gpu,)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select, order and mark; before -k and -m have their say, so that stale expectations are told from unselected.

    Raises:
        pytest.UsageError: an expectation that matches no test, where all properties were collected; expectations to be
            written where they were not.
    """
    options = config.stash[_OPTIONS]
    left_out = prepare(items, options, lambda: gate_run(config))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    tell_nodes(config, {item.nodeid: item.stash[NODE] for item in items if NODE in item.stash})
    judged = [item for item in [*items, *left_out] if NODE in item.stash]
    if not judged:
        return
    applicable = [item.stash[NODE].as_data() for item in judged if JUDGE in item.stash]
    known = config.pluginmanager.get_plugin(_KNOWN)
    if known is not None:
        known.collected(applicable)
    elif _is_worker(config) and options.write_expectations is not None:
        config.workeroutput[_APPLICABLE] = applicable  # type: ignore[attr-defined]
    message = _wrong_with_known(config, {item.stash[NODE].property for item in judged})
    if not message:
        return
    if not _is_worker(config):
        raise pytest.UsageError(message)
    config.workeroutput[_REFUSED] = message  # type: ignore[attr-defined]  # the controller raises it
    items.clear()


def _wrong_with_known(config: pytest.Config, collected: Collection[str]) -> str:
    """What is wrong with the known failures, told by the properties of which tests were collected; empty if nothing."""
    run = gate_run(config)
    whole = run.thresholds.properties <= set(collected)
    if config.stash[_OPTIONS].write_expectations is not None:  # what matches no test is dropped then
        advice = "--write-expectations needs every property collected; choose tests with -k, not by their files"
        return "" if whole else advice
    for stale in run.stale() if whole else ():
        return f"{stale.origin}: no test of {stale.property} matches it; correct or remove it"
    return ""


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Raise what an xdist worker found wrong with the expectations, and keep which tests there are."""
    output = getattr(node, "workeroutput", {})
    if output.get(_REFUSED):
        raise pytest.UsageError(output[_REFUSED])
    known = node.config.pluginmanager.get_plugin(_KNOWN)
    if known is not None and _APPLICABLE in output:
        known.collected(output[_APPLICABLE])


@pytest.fixture(scope="session")
def gate_bench(request: pytest.FixtureRequest) -> Bench:
    """Models, worlds and shared measurements of this worker."""
    from kedit.gate.bench import Bench

    run = gate_run(request.config)
    return Bench(run, threads=run.options.threads)


@pytest.fixture
def gate(request: pytest.FixtureRequest, gate_case: Case, gate_bench: Bench) -> Gate:
    """The editor, the model, the facts and the judge of one property test."""
    from kedit.gate.bench import Gate

    judge = request.node.stash.get(JUDGE, None)
    if judge is not None:
        judge.start()
        if lacking := gate_bench.lacking(gate_case):
            (pytest.fail if gate_bench.requires_models else pytest.skip)(lacking)
    return Gate(gate_bench, gate_case, parameters_of(request.node), judge)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """After a property test has judged all its numbers, fail with all that are wrong; or with what it raised."""
    __tracebackhide__ = True
    judge = pyfuncitem.stash.get(JUDGE, None)
    if judge is None:
        return (yield)
    with interrupts() as of_user:
        try:
            result = yield
        except NotPossibleHere as why:
            damaged = _damaged(pyfuncitem)
            if not raised_by_kedit(why.__traceback__):
                raise as_failure(why, pyfuncitem.path) from None
            if damaged:
                raise RuntimeError(_DAMAGE) from None
            pytest.skip(str(why))
        except BaseException as error:
            raised = error if of_user else as_failure(error, pyfuncitem.path)
            if _damaged(pyfuncitem):
                raised.add_note(_DAMAGE)
            if raised is error:
                raise
            raise raised from None
    if of_user:  # and the editor swallowed it
        raise KeyboardInterrupt
    deadlines = pyfuncitem.config.stash[_DEADLINES]
    if deadlines.passed:
        raise TimeoutError(f"the editor {overdue(deadlines.seconds)} and went on when it was told to end")
    if _damaged(pyfuncitem):  # before the judge, whose violation may be a known failure
        raise RuntimeError(_DAMAGE)
    judge.finish()
    return result


def _damaged(item: pytest.Function) -> bool:
    gate = cast("Gate | None", item.funcargs.get("gate"))
    return gate is not None and gate.damaged()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the rows travel with the report, from a worker to the controller too."""
    report = yield
    node = item.stash.get(NODE, None)
    if node is not None:
        deadlines = item.config.stash[_DEADLINES]
        if report.failed and deadlines.passed:
            node.ended = overdue(deadlines.seconds)
        report.user_properties = [*report.user_properties, ("editing", node.as_data())]
    return report


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
