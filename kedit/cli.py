# SPDX-License-Identifier: Apache-2.0
"""The command line `kedit`: what it takes. What it does is in `kedit.commands`, imported when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

__all__ = ["main", "parser"]

_GATE = """\
Judge an editor: run the property tests and print every measured number, its threshold and the verdict.
Everything that is not an option of this command goes to pytest, e.g. `kedit gate memit --model tiny-gpt2 -k efficacy`.
The exit status is pytest's: 0 accepted, 1 rejected, 4 wrong usage.

`kedit gate init` writes the files that run the gate in a repository of yours, `kedit gate diff` compares two reports.
"""
_GATE_WORDS = ("init", "diff")
_STATUS = "The exit status is 0 for done, 1 for failed or interrupted, 2 for wrong usage or wrong files."
_EDIT = f"""\
Edit the facts of a file, in one batch or one by one, and keep weights, history and the editor's state in the folder
SESSION. A session that is there goes on; facts that it has already are not edited again.
{_STATUS}
"""

_EXPERIMENT = f"""\
Measure the figures and tables of the papers, cell by cell. A run that was stopped in any way goes on where it was.
{_STATUS}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["gate"] and given[1:2] and given[1] in _GATE_WORDS:
        words = gate_parser().parse_args(given[1:])
        return int(importlib.import_module(f"kedit.commands.gate_{words.word}").run(words))
    commands = parser()
    options, rest = commands.parse_known_args(given)
    if options.command == "gate":
        if options.quick:
            rest = ["--editing-quick", *rest]
        return int(importlib.import_module("kedit.commands.gate").gate(options.editor, options.jobs, rest))
    if rest:
        commands.error(f"unrecognized arguments: {' '.join(rest)}")
    return int(importlib.import_module("kedit.commands.running").execute(options))


def parser() -> argparse.ArgumentParser:
    """The parser; importing and building it loads nothing heavy."""
    top = argparse.ArgumentParser(prog="kedit", description="Knowledge editing, and a gate for editors.")
    commands = top.add_subparsers(dest="command", required=True)
    gate = commands.add_parser(
        "gate",
        help="judge an editor",
        description=_GATE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # what is not spelt out here is pytest's
    )
    gate.add_argument("editor", metavar="NAME", help="built-in name or package.module:Attribute")
    gate.add_argument("--quick", action="store_true", help="two models, without the long properties")
    gate.add_argument("--jobs", "-n", metavar="N", help="processes, as pytest -n (default 2, with -m gpu 0 for none)")

    listing = commands.add_parser(
        "editors", help="list the built-in editors, their tags and what each is known to fail"
    )
    listing.add_argument("--json", action="store_true", help="print JSON on stdout, with reasons and models")
    _dataset_command(commands)
    edit = _session_command(commands, "edit", "edit facts in a new or saved session", _EDIT)
    edit.add_argument(
        "--editor", metavar="NAME", help="built-in name or package.module:Attribute; as before if left out"
    )
    edit.add_argument("--editor-config", metavar="FILE.toml", help="settings of the editor")
    edit.add_argument("--facts", required=True, metavar="FILE", help="facts as a JSON list or JSON Lines")
    edit.add_argument("--each", action="store_true", help="one call a fact, saved after each; otherwise one batch")
    edit.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="of the weights (default float32)")
    undo = _session_command(commands, "undo", "take the last updates of a session back")
    undo.add_argument("n", nargs="?", type=int, default=1, metavar="N", help="how many updates (default 1)")
    _session_command(commands, "commit", "make what is done the ground that undo stops at")
    _session_command(commands, "log", "list what a session did", model=False)
    _session_command(commands, "diff", "show how far each weight moved")
    evaluate = _session_command(commands, "evaluate", "measure ES, PS, NS and exact match before and after")
    evaluate.add_argument("--facts", metavar="FILE", help="facts to measure; those of the session if left out")
    export = _session_command(commands, "export", "write the edited model as a plain Hugging Face folder")
    export.add_argument("folder", metavar="FOLDER", help="must not be there")
    _experiment_commands(commands)
    _probe_command(commands)
    _statistics_commands(commands)
    return top


def gate_parser() -> argparse.ArgumentParser:
    """The parser of the words that stand where `kedit gate` has an editor's name."""
    top = argparse.ArgumentParser(prog="kedit gate")
    words = top.add_subparsers(dest="word", required=True)
    init = words.add_parser(
        "init",
        help="write the files that run the gate in a repository",
        description="Write a workflow for GitHub Actions, an empty file of known failures, and a test that runs the "
        "gate. A file that is there is left alone. The exit status is 0, or 2 for wrong usage.",
    )
    init.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help="the repository (default: this folder)")
    init.add_argument(
        "--editor",
        metavar="NAME",
        default="mylab.editors:MyEditor",
        help="built-in name or package.module:Attribute (default: a name to replace)",
    )
    diff = words.add_parser(
        "diff",
        help="compare two reports",
        description="Compare two report.json files, or the folders they are in, and name what got worse. "
        "The exit status is 0 for nothing worse, 1 for something worse, 2 for wrong files.",
    )
    diff.add_argument("old", metavar="OLD", help="report.json or its folder")
    diff.add_argument("new", metavar="NEW", help="report.json or its folder")
    return top


def _dataset_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`kedit dataset`; the function behind each word is in `kedit.commands.datasets`."""
    top = commands.add_parser("dataset", help="count, convert or build a data set of facts")
    words = top.add_subparsers(dest="word", required=True)
    for name, summary in (
        ("stats", "print S2RKE's tables 1 and 2 for a data set, and how many prompts and objects it has"),
        ("convert", "write the facts of a data set as a file for `kedit edit --facts`"),
    ):
        word = words.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {_STATUS}")
        word.add_argument("file", metavar="FILE", help="JSON list or JSON Lines, hf:OWNER/NAME or common-knowledge")
        if name == "convert":
            word.add_argument("out", metavar="OUT", help="must not be there; JSON Lines if it ends in .jsonl")
        word.add_argument("--format", metavar="NAME", help="s2rke, counterfact, mquake, zsre, knowedit or kedit")
        word.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="such as target=answers")
        word.add_argument("--skip-bad", action="store_true", help="leave bad records out and list them")
        word.add_argument("--json", action="store_true", help="print JSON on stdout")
    summary = "build one of the papers' data sets from a file or from the tiny world"
    build = words.add_parser("build", help=summary, description=f"{summary[0].upper()}{summary[1:]}. {_STATUS}")
    build.add_argument("kind", choices=("pairs", "s2rke", "mqd"), help="of MEMIT-Merge, of S2RKE, of D4S")
    build.add_argument(
        "source", metavar="IN", help="facts of any format (pairs), triples (s2rke), ATOMIC's rows (mqd), or `world`"
    )
    build.add_argument("out", metavar="OUT", help="must not be there; a file for s2rke, else a folder")
    build.add_argument("--seed", type=int, default=0, metavar="N", help="equal seeds give equal files (default 0)")
    build.add_argument(
        "--n", type=int, metavar="N", help="facts in each file (default: 10 pairs, 100 of mqd); subjects of s2rke (all)"
    )
    build.add_argument("--labels", metavar="FILE", help="names and descriptions of entities, for s2rke from a file")
    build.add_argument("--json", action="store_true", help="print JSON on stdout")


def _session_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str = "",
    *,
    model: bool = True,
) -> argparse.ArgumentParser:
    """A command on a session; the function of this name in `kedit.commands` does the work."""
    command = commands.add_parser(
        name,
        help=summary,
        description=description or f"{summary[0].upper()}{summary[1:]}.\n{_STATUS}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("session", metavar="SESSION", help="folder of the session")
    if model:
        command.add_argument(
            "--model", metavar="NAME", help="a tiny model's name or a folder; the session's own if left out"
        )
    command.add_argument("--json", action="store_true", help="print JSON on stdout")
    return command


def _experiment_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`kedit experiment list|run|report`."""
    top = commands.add_parser("experiment", help="run the papers' figures and tables", description=_EXPERIMENT)
    words = top.add_subparsers(dest="word", required=True)
    listing = words.add_parser("list", help="name every experiment")
    listing.add_argument("--json", action="store_true", help="print JSON on stdout")
    run = words.add_parser("run", help="measure what is missing of experiments", description=_EXPERIMENT)
    run.add_argument("names", nargs="+", metavar="NAME", help="experiments, or `all`")
    run.add_argument("--out", required=True, metavar="DIR", help="folder of measured cells; a run goes on in it")
    run.add_argument(
        "--model", action="append", metavar="MODEL", help="a tiny model or a folder; more than once for several"
    )
    run.add_argument("--jobs", type=int, default=1, metavar="N", help="processes of one thread each (default 1)")
    run.add_argument("--repeats", type=int, metavar="N", help="seeded draws (default: the experiment's own number)")
    run.add_argument("--facts", metavar="FILE", help="draw from these facts instead of the tiny world")
    run.add_argument("--texts", metavar="FILE", help="texts for perplexity, one a line; go with --facts")
    report = words.add_parser("report", help="write tables and figures of what is measured")
    report.add_argument("folder", metavar="DIR", help="folder of a run")
    top.set_defaults(json=False)


def _probe_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`kedit probe`."""
    summary = "check a model's hooks, tokenizer and keys, trace facts, and recommend layers to edit"
    probe = commands.add_parser(
        "probe", help=summary, description=f"{summary[0].upper()}{summary[1:]}. {_STATUS} A problem found is a failure."
    )
    probe.add_argument("model", metavar="MODEL", help="a tiny model, a folder, a full model's name, or ORG/NAME")
    facts = "facts to trace, in any format (default: the world on the model's card, else common-knowledge)"
    probe.add_argument("--facts", metavar="FILE", help=facts)
    probe.add_argument("--layers", type=int, nargs="+", metavar="N", help="layers to check and trace (default: all)")
    probe.add_argument("--figure", metavar="FILE.svg", help="draw the tracing; .svg or .png")
    probe.add_argument("-n", type=int, default=20, metavar="N", help="facts to trace, one a subject (default 20)")
    probe.add_argument("--seed", type=int, default=0, metavar="N", help="of facts, random tokens and noise (default 0)")
    probe.add_argument("--device", default="cpu", metavar="NAME", help="such as cuda (default cpu)")
    dtypes = ("float32", "bfloat16", "float16")
    probe.add_argument("--dtype", choices=dtypes, default="float32", help="of the weights (default float32)")
    probe.add_argument("--json", action="store_true", help="print JSON on stdout")


def _statistics_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`kedit statistics collect|merge|verify`; the function behind each word is in `kedit.commands.statistics`."""
    top = commands.add_parser("statistics", help="collect second moments of keys from a corpus, once a model")
    words = top.add_subparsers(dest="word", required=True)
    collect = words.add_parser(
        "collect",
        help="measure second moments of a model's keys",
        description="Measure second moments of a model's keys, all layers in one pass. A run that was killed goes on "
        f"where it was. {_STATUS}",
    )
    called = "a tiny model's name, a folder, a full model's name such as gpt-j-6b, or a hub id ORG/NAME"
    collect.add_argument("model", metavar="MODEL", help=called)
    collect.add_argument("--corpus", required=True, metavar="CORPUS", help="wikitext, c4, or a file, one text a line")
    collect.add_argument("--tokens", type=int, metavar="N", help="how many (default: 10 for each dimension of a key)")
    collect.add_argument(
        "--layers", nargs="+", default=[], metavar="L", help="such as 3 4 5 or 3-5 (default: those of MEMIT's preset)"
    )
    collect.add_argument(
        "--out", metavar="DIR", help="folder of the collection (default: in kedit's cache); editors find either"
    )
    collect.add_argument("--shard", default="1/1", metavar="I/N", help="measure the I-th of N shards (default 1/1)")
    collect.add_argument("--dry-run", action="store_true", help="only say how long it will take, and the memory")
    merge = words.add_parser(
        "merge",
        help="add the shards of a folder up",
        description=f"Add the shards of a folder up to second moments; the last `collect` does so itself. {_STATUS}",
    )
    merge.add_argument("folder", metavar="DIR", help="folder with all shards of a collection")
    verify = words.add_parser(
        "verify",
        help="check what was collected",
        description="Check every file of a collection, and whether keys of a fresh sample have the size that it "
        "promises. The exit status is 0 if all is right, 1 if a file is wrong, 2 for wrong usage.",
    )
    verify.add_argument("place", metavar="DIR|MODEL", help=f"folder of a collection, or for all of a model's: {called}")
    verify.add_argument("--model", metavar="MODEL", help="of the collection in DIR (default: the one it was made with)")
    dtypes = ("float32", "bfloat16", "float16")
    collect.add_argument("--dtype", choices=dtypes, default="float32", help="of the weights (default float32)")
    verify.add_argument("--dtype", choices=dtypes, help="of the weights (default: that of the collection)")
    verify.add_argument("--corpus", metavar="CORPUS", help="for the sample (default: the one it was made with)")
    for word in (collect, verify):
        word.add_argument("--device", default="cpu", metavar="NAME", help="such as cuda:0 (default cpu)")
    for word in (collect, merge, verify):
        word.add_argument("--json", action="store_true", help="print JSON on stdout")


if __name__ == "__main__":
    sys.exit(main())
