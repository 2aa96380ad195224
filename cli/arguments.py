"""The words after `iwb`, read with argparse; each command names the function that answers it."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from typing import NoReturn

from sessions.errors import CallError, nearest

_EXECUTOR = "where independent units run: local, local:4 (processes), or tcp://HOST:8786 (a Dask scheduler)"

Answer = Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """argparse, but a mistake is one sentence of ours and not a usage dump."""

    def error(self, message: str) -> NoReturn:
        message = message.replace(", name=value", "")  # argparse counts them as required when the others are missing
        raise CallError(message, remedy=f"see '{self.prog} --help'")


def _answered_by(module: str) -> Answer:
    """The module's `answer`, imported only when that command was asked for: `iwb show` must not wait for Textual."""

    def answer(options: argparse.Namespace) -> int:
        function: Answer = importlib.import_module(f"cli.{module}").answer
        return function(options)

    return answer


def parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The whole command line, and each command's own parser."""
    top = _Parser(
        prog="iwb",
        description="A terminal workbench for mechanistic interpretability. `iwb FILE.iwb` opens an investigation.",
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    made: dict[str, argparse.ArgumentParser] = {}

    def command(name: str, module: str, summary: str, *, json: bool = False) -> argparse.ArgumentParser:
        made[name] = commands.add_parser(name, help=summary, description=summary)
        made[name].set_defaults(answer=_answered_by(module), json=False)
        if json:
            made[name].add_argument(
                "--json", action="store_true", help="one JSON document on standard output; messages on standard error"
            )
        return made[name]

    opened = command("open", "workbench", "open the workbench on an investigation (the same as `iwb FILE.iwb`)")
    opened.add_argument("file", nargs="?", default="", help="session file; made if it is not there")
    command("attach", "attach", "the engines that are running; open one").add_argument(
        "number", nargs="?", type=int, help="which of them to open"
    )

    run = command("run", "run", "run one operation, or a recipe, without a screen", json=True)
    run.add_argument("file", help="session file; made if it is not there")
    run.add_argument("operation", help="an operation (see `iwb ops`) or a recipe: a .toml, or one of `iwb recipes`")
    run.add_argument(
        "values",
        nargs="*",
        metavar="name=value",
        help="parameters (an input is name=@ID or name=@last), or a recipe's values",
    )
    run.add_argument("--seed", type=int, default=0, help="seed of the step (default 0)")
    run.add_argument("--device", help="auto, cpu, cuda or mps, for operations that load a model")
    run.add_argument("--dtype", help="float32, bfloat16 or float16, for operations that load a model")
    run.add_argument("--executor", default="", help=_EXECUTOR)
    run.add_argument("--again", action="store_true", help="do the work even if the very same was done before")

    show = command("show", "show", "the timeline, or one step or artifact", json=True)
    show.add_argument("file")
    show.add_argument("id", nargs="?", default="", help="an artifact (5 or @5) or a step (step3)")

    note = command("note", "note", "write a note on a step, an artifact or the whole investigation")
    note.add_argument("file")
    note.add_argument("text", help="Markdown")
    note.add_argument("--step", type=int, help="the step it is about")
    note.add_argument("--artifact", type=int, help="the artifact it is about")

    replay = command("replay", "replay", "run the recorded steps again, in a file of their own", json=True)
    replay.add_argument("file")
    replay.add_argument(
        "--verify", action="store_true", help="compare with what was recorded; exit 1 where they differ"
    )
    replay.add_argument("--executor", default="", help=_EXECUTOR)
    replay.add_argument("-o", "--output", default="", help="keep the new run in this session file")

    export = command("export", "export", "write the investigation for others to read")
    export.add_argument("file")
    export.add_argument("--to", required=True, choices=["md", "html", "ipynb", "recipe", "json"])
    export.add_argument("-o", "--output", default="", help="the file to write (default: standard output)")

    command(
        "ops", "listing", "the operations: parameters, types, defaults, what they take and give", json=True
    ).add_argument("operation", nargs="?", default="", help="one of them, in full")
    command(
        "recipes", "recipes", "the bundled recipes, and the values that one lets you change", json=True
    ).add_argument("recipe", nargs="?", default="", help="one of them, or a .toml, in full")
    command("models", "listing", "the models that are bundled, and what else can be loaded", json=True)
    command("prompts", "listing", "the prompt sets that can be made, and the files that can be opened", json=True)
    command("doctor", "listing", "device, memory, versions, terminal; what is missing and how to get it", json=True)
    command("demo", "demo", "a bundled investigation, opened; without a terminal it runs and prints its report")
    bench = command("bench", "bench", "the benchmarks: ours beside the peer's, as ratios", json=True)
    bench.add_argument("name", nargs="?", default="", help="one of them (default: all)")
    return top, made


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of one command. `iwb`, `iwb FILE` and `iwb open FILE` are the same. CallError for anything else."""
    top, commands = parser()
    words = list(arguments)
    if words == ["--version"]:
        return argparse.Namespace(answer=_version)
    if not words:
        words = ["open"]
    elif not words[0].startswith("-") and words[0] not in commands:
        if not (words[0].endswith(".iwb") or "/" in words[0] or len(words) > 1):
            known = nearest(words[0], commands)
            raise CallError(
                f"'{words[0]}' is neither a command nor a session file", remedy=f"{known} (files end in .iwb)"
            )
        if len(words) > 1:
            raise CallError(f"unknown command '{words[0]}'", remedy=nearest(words[0], commands))
        words = ["open", *words]
    # Options may stand among the name=value words; only parse_intermixed_args of the command itself allows that.
    if words[0] in commands:
        options = commands[words[0]].parse_intermixed_args(words[1:])
        options.command = words[0]
        return options
    return top.parse_args(words)


def _version(options: argparse.Namespace) -> int:
    from engine.server.environment import iwb_version

    print(f"iwb {iwb_version()}")
    return 0
