"""`iwb run`: one operation, or a recipe."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec

from cli.host import Host, Outcome, host
from cli.perform import perform
from cli.recipes import is_recipe, recipe_path, words_of
from engine.catalogue import operation as find_operation
from engine.executors import check
from engine.operations import Operation, describe
from sessions.errors import CallError
from sessions.recipes import RecipeStep, read

PRINTED_WIDTH = 140  # cells, where nobody says how wide the page is: tables of a study are read whole
PRINTED_ROWS = 20  # of each; `iwb show` gives more


def answer(options: argparse.Namespace) -> int:
    """Run it, and say what came of it."""
    if options.executor:
        check(options.executor)
    path = Path(options.file)
    if is_recipe(options.operation):
        return _recipe(path, recipe_path(options.operation), options)
    if "=" in options.operation:
        raise CallError(
            f"'{options.file}' stands where the session file should", remedy="write iwb run FILE.iwb OPERATION"
        )
    operation = find_operation(options.operation)
    values = {**_values(operation.name, options.values), **_model_options(operation, options)}
    with host(path, options.executor) as place:
        outcome = place.run(operation.name, values, seed=options.seed, again=options.again)
        report(place, outcome, as_json=options.json)
    return 0


def _values(operation: str, words: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise CallError(f"'{word}' is not a parameter", operation, "write name=value")
        if name in values:
            raise CallError(f"parameter '{name}' is given twice", operation)
        values[name] = value
    return values


def _model_options(operation: Operation, options: argparse.Namespace) -> dict[str, Any]:
    taken = {field.name for field in describe(operation).fields}
    given = {name: getattr(options, name) for name in ("device", "dtype") if getattr(options, name) is not None}
    for name in given:
        if name not in taken:
            raise CallError(f"--{name} means nothing to {operation.name}", remedy=f"give --{name} to models.load")
    return given


def summary(outcome: Outcome) -> dict[str, Any]:
    """What `run --json` prints for a step."""
    return {
        "step": outcome.step.id,
        "operation": outcome.step.operation,
        "status": outcome.step.status,
        "cached": outcome.cached,
        "artifacts": [{"id": a.id, "kind": a.kind, "title": a.title, "summary": a.summary} for a in outcome.artifacts],
        "seconds": round(outcome.step.seconds, 3),
    }


def report(place: Host, outcome: Outcome, *, as_json: bool) -> None:
    """One step's outcome: JSON, or lines and the artifacts that read well as text."""
    if as_json:
        print(msgspec.json.encode(summary(outcome)).decode())
        return
    from sessions.render import render

    before = " (done before)" if outcome.cached else f" in {outcome.step.seconds:.1f} s"
    print(f"step {outcome.step.id}: {outcome.step.operation} {outcome.step.status}{before}")
    for stored in outcome.artifacts:
        print(f"  @{stored.id}  {stored.kind:<8} {stored.title}{': ' + stored.summary if stored.summary else ''}")
    for stored in outcome.artifacts:
        if stored.kind in ("program", "table", "text", "model"):
            print()
            print(render(place.session.artifact(stored.id)))


def _recipe(path: Path, recipe_path: Path, options: argparse.Namespace) -> int:
    again, as_json = options.again, options.json
    recipe = read(recipe_path, _recipe_words(recipe_path, options))
    marked = any(step.shown != () for step in recipe.steps)
    done: list[dict[str, Any]] = []
    with host(path, options.executor) as place:
        for step, outcome in perform(recipe, place, again=again):
            done.append(summary(outcome))
            if not as_json:
                before = " (done before)" if outcome.cached else f" {outcome.step.seconds:.1f} s"
                print(f"step {outcome.step.id}: {step.id}: {step.operation}{before}", file=sys.stderr)
                _print_shown(place, step, outcome)
        if as_json:
            print(msgspec.json.encode({"recipe": recipe.name, "steps": done}).decode())
        elif marked:
            print(f"All of it, and what every number depends on: iwb show {path} @ID; iwb export {path} --to html")
        else:
            from sessions.export import export

            print(export(place.session, "md"))
    return 0


def _recipe_words(recipe_path: Path, options: argparse.Namespace) -> dict[str, str]:
    """The recipe's values as given in words, and by the options of the same names."""
    words = dict(words_of(options.values, str(recipe_path)))
    seed = str(options.seed) if options.seed else None
    for name, given in (("device", options.device), ("dtype", options.dtype), ("seed", seed)):
        if given is None:
            continue
        if name not in read(recipe_path).values:
            raise CallError(f"--{name} means nothing to a recipe without a value '{name}'", str(recipe_path), "edit it")
        if name in words:
            raise CallError(f"the value '{name}' is given twice", str(recipe_path))
        words[name] = given
    return words


def _print_shown(place: Host, step: RecipeStep, outcome: Outcome) -> None:
    """What a step of a recipe wants printed, under its note, as soon as it is done: without the conditions that
    `iwb show` tells as well, which would stand there as often as there are tables."""
    outputs = range(1, len(outcome.artifacts) + 1) if step.shown is None else step.shown
    if not outputs:
        return
    from sessions.render import body

    wide = max(60, shutil.get_terminal_size((PRINTED_WIDTH, 24)).columns)
    print(f"## {step.note.strip() or step.id}\n")
    for n in outputs:
        if n > len(outcome.artifacts):  # no reason to stop a long study
            print(f"(output {n} is to be printed, and the step left {len(outcome.artifacts)})\n", flush=True)
            continue
        stored = outcome.artifacts[n - 1]
        print(f"@{stored.id}  {stored.title}")
        print(textwrap.fill(stored.summary, wide) + "\n" if stored.summary else "")
        print(body(place.session.artifact(stored.id), width=wide, max_rows=PRINTED_ROWS) + "\n", flush=True)
