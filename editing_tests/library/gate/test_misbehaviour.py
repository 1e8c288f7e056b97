# SPDX-License-Identifier: Apache-2.0
"""Editors that hang, die, or raise what means something to pytest: a failed row each, and the run goes on."""

from __future__ import annotations

import json
import re

import pytest

MISBEHAVIOUR = """
import ctypes, os, sys, time, unittest
import pytest
from kedit.editors import Tags
from kedit.gate import PropertyViolation

class Bad:
    name, tags = "bad", Tags()

    def edit(self, model, facts, state=None):
        getattr(self, facts)()

    def well(self):
        pass

    def hang(self):
        while True:
            time.sleep(0.1)

    def swallow(self):
        while True:
            try:
                ctypes.PyDLL(None).sleep(600)  # nothing of Python runs meanwhile
            except BaseException:
                pass

    def late(self):
        try:
            self.hang()
        except BaseException:
            pass

    def die(self):
        os._exit(0)

    def value_error(self):
        raise ValueError("no such layer")

    def system_exit(self):
        sys.exit(0)

    def interrupt(self):
        raise KeyboardInterrupt("stop")

    def exit(self):
        pytest.exit("enough", returncode=0)

    def skip(self):
        pytest.skip("not today")

    def unittest_skip(self):
        raise unittest.SkipTest("not today")

    def xfail(self):
        pytest.xfail("known")

    def violation(self):
        raise PropertyViolation("known")
"""
PROPERTY = """
@pytest.mark.editing_property("{id}")
def test_{what}(gate):
    gate.editor.edit(None, "{what}")
    gate.judge("{metric}", {good})
"""
# What the editor does, in which property, and the reason that the report must give.
TROUBLE = {
    "die": ("efficacy.single", r"the process died"),
    "swallow": ("efficacy.distinct-batch", r"did not end within 8 s"),
    "hang": ("locality.neighbors", r"did not end within 8 s \(elsewhere\.py:\d+\)"),
    "late": ("longevity.repeat", r"did not end within 8 s .*"),
    "well": ("contract.deterministic", ""),
    "value_error": ("contract.pure-edit", r"call: ValueError: no such layer \(elsewhere\.py:\d+\)"),
    "system_exit": ("contract.exact-undo", r"call: SystemExit: 0 \(elsewhere\.py:\d+\)"),
    "interrupt": ("locality.perplexity", r"call: RuntimeError: the editor raised KeyboardInterrupt: stop \(else.*"),
    "exit": ("contract.atomic-failure", r"call: RuntimeError: the editor raised Exit: enough .*"),
    "skip": ("contract.rejects-bad-facts", r"call: RuntimeError: the editor raised Skipped: not today .*"),
    "unittest_skip": ("mechanism.same-key", r"call: RuntimeError: the editor raised SkipTest: not today .*"),
    "xfail": ("mechanism.merged-value", r"call: RuntimeError: the editor raised XFailed: known .*"),
    "violation": ("longevity.sequence", r"call: RuntimeError: the editor raised PropertyViolation: known .*"),
}
METRICS = {
    "efficacy": ("ES", 1.0),
    "locality.neighbors": ("NS", 1.0),
    "contract.deterministic": ("differing_weights", 0.0),
}
KNOWN = "[[expect]]\nproperty = 'longevity.sequence'\nreason = 'it forgets'\n"


def judged(what: str) -> str:
    property_id = TROUBLE[what][0]
    metric, good = METRICS.get(property_id, ("never", 0.0))
    return PROPERTY.format(id=property_id, what=what, metric=metric, good=good)


@pytest.fixture
def reasons(run, pytester, toml):
    """Runs the properties in which the editor does these things; the reason by property, and all lines."""

    def start(*names: str, workers: str) -> tuple[dict[str, str], list[str]]:
        pytester.makepyfile(elsewhere=MISBEHAVIOUR)
        pytester.makepyfile("import pytest\n" + "".join(map(judged, names)))
        args = ["--editor", "elsewhere:Bad", "--model", "tiny-gpt2", "--editing-report", "report", "-n", workers]
        result = run(*args, "--expect", toml(KNOWN), "--editing-timeout", "8", apart=workers != "0")
        assert result.ret == 1
        rows = json.loads((pytester.path / "report" / "report.json").read_text())["results"]
        assert {row["property"]: row["status"] for row in rows} == {
            TROUBLE[name][0]: "passed" if name == "well" else "failed" for name in names
        }
        return {row["property"]: row["reason"] for row in rows}, result.outlines

    return start


@pytest.mark.timeout(600)  # were the watchdog not there, it would not end
@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_an_editor_raises_is_a_failure_of_its_property(reasons, workers):
    names = [name for name in TROUBLE if name not in ("die", "swallow", "hang", "late")]
    if workers == "2":  # a dead worker and one that must be ended, among all others
        names = list(TROUBLE)
    found, lines = reasons(*names, workers=workers)
    for name in names:
        property_id, pattern = TROUBLE[name]
        assert re.fullmatch(pattern, found[property_id]), found[property_id]
    bad = sorted(TROUBLE[name][0] for name in names if name != "well")
    assert lines[-1].startswith(f"elsewhere:Bad: rejected by: {', '.join(bad)}")


@pytest.mark.parametrize("name", ["hang", "late"])
def test_a_hanging_editor_in_the_process_of_pytest(reasons, name):
    found, lines = reasons(name, "well", workers="0")
    assert re.fullmatch(TROUBLE[name][1], found[TROUBLE[name][0]])
    assert lines[-1].startswith(f"elsewhere:Bad: rejected by: {TROUBLE[name][0]} (")


@pytest.mark.parametrize("swallowed", [False, True], ids=["raised", "swallowed"])
def test_the_user_may_end_the_run(run, pytester, swallowed):
    """With Ctrl-C, which is no failure of the editor's."""
    pytester.makepyfile(elsewhere=MISBEHAVIOUR)
    lines = ["@pytest.mark.editing_property('efficacy.single')", "def test_it(gate):"]
    if swallowed:
        lines += ["    with contextlib.suppress(BaseException):", "        signal.raise_signal(signal.SIGINT)"]
    else:
        lines += ["    signal.raise_signal(signal.SIGINT)"]
    pytester.makepyfile("\n".join(["import contextlib, signal, pytest", *lines, "    gate.judge('ES', 1.0)"]))
    with pytest.raises(KeyboardInterrupt):
        run("--editor", "elsewhere:Bad", "--model", "tiny-gpt2")


@pytest.mark.parametrize(
    ("args", "restarts"),
    [
        (["--editor", "memit", "--model", "tiny-gpt2"], "1000"),
        (["--editor", "memit", "--model", "tiny-gpt2", "--max-worker-restart", "3"], "3"),
        ([], None),
    ],
    ids=["editor", "told", "no editor"],
)
def test_an_editor_may_end_more_workers_than_xdist_allows(pytester, args, restarts):
    config = pytester.parseconfigure("-p", "kedit.gate.plugin", *args)
    assert config.option.maxworkerrestart == restarts


def test_a_test_may_skip_itself(run, pytester):
    pytester.makepyfile(elsewhere=MISBEHAVIOUR)
    body = "@pytest.mark.editing_property('efficacy.single')\ndef test_it(gate):\n    pytest.skip('not today')\n"
    pytester.makepyfile("import pytest\n\n" + body)
    result = run("--editor", "elsewhere:Bad", "--model", "tiny-gpt2")
    result.assert_outcomes(skipped=1)
    assert result.outlines[-1] == "elsewhere:Bad: no verdict, nothing was measured"


@pytest.mark.parametrize("option", [["--editing-timeout", "-1"], ["--editing-threads", "0"]])
def test_limits_that_are_none(run, option):
    result = run("--editor", "memit", *option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any(option[0] in line for line in result.errlines)


def test_a_module_that_ends_python_is_wrong_usage(run, pytester):
    pytester.makepyfile(elsewhere="import sys\nsys.exit(0)")
    result = run("--editor", "elsewhere:Bad", "--model", "tiny-gpt2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any("--editor elsewhere:Bad: SystemExit: 0" in line for line in result.errlines)
