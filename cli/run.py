"""`iwb run`: one operation, or a recipe."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from cli.host import Host, Outcome, host
from cli.perform import perform
from engine.catalogue import operation as find_operation
from engine.executors import check
from engine.operations import Operation, describe
from sessions.errors import CallError
from sessions.recipes import read


def answer(options: argparse.Namespace) -> int:
    """Run it, and say what came of it."""
    if options.executor:
        check(options.executor)
    path = Path(options.file)
    if options.operation.endswith(".toml"):
        if options.values:
            raise CallError(
                f"a recipe takes no parameters ('{options.values[0]}')", options.operation, "edit the recipe"
            )
        return _recipe(path, Path(options.operation), options)
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
    recipe = read(recipe_path)
    done: list[dict[str, Any]] = []
    with host(path, options.executor) as place:
        for step, outcome in perform(recipe, place, again=again):
            done.append(summary(outcome))
            if not as_json:
                before = " (done before)" if outcome.cached else f" {outcome.step.seconds:.1f} s"
                print(f"step {outcome.step.id}: {step.id}: {step.operation}{before}", file=sys.stderr)
        if as_json:
            print(msgspec.json.encode({"recipe": recipe.name, "steps": done}).decode())
        else:
            from sessions.export import export

            print(export(place.session, "md"))
    return 0
