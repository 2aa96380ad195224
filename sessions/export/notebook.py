"""The investigation as a Jupyter notebook (nbformat 4.5): it shows what was found, and its cells do the steps again."""

from __future__ import annotations

import keyword
from typing import Any

import msgspec

from sessions.artifacts import Graph, Matrix, Points, Series
from sessions.export import html as page
from sessions.export.account import StepAccount, account, ending, moment, overview, particulars
from sessions.export.markdown import code, plain, quoted
from sessions.export.svg import DEFINITIONS
from sessions.investigation import Investigation
from sessions.recipes import RecipeStep, Reference, parse_reference, planned
from sessions.render import render
from sessions.steps import Note

_TAKEN = ("FILE", "iwb", "json", "print", "read", "run", "str", "subprocess")
_PRELUDE = '''\
import json
import subprocess

FILE = {file!r}  # steps are done in this new session, beside what you have


def iwb(*words):
    done = subprocess.run(["iwb", *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def run(operation, *words):
    """Do one step; print what it left; give the ids of its artifacts."""
    step = json.loads(iwb("run", FILE, operation, *words, "--json"))
    for artifact in step["artifacts"]:
        print(iwb("show", FILE, str(artifact["id"])))
    return [artifact["id"] for artifact in step["artifacts"]]


def read(artifact):
    """An artifact whole, as plain values: arrays as nested lists, or the path of an .npz file when they are large."""
    return json.loads(iwb("show", FILE, str(artifact), "--json"))
'''


def notebook(investigation: Investigation, name: str) -> str:
    """The notebook as JSON text. Finished steps are code cells with their recorded output; the others are said."""
    whole = account(investigation, name)
    again = planned(investigation)
    cells = [_markdown(f"# {plain(name)}\n\n{overview(whole)}", *_notes(whole.notes))]
    cells.append(_code(_PRELUDE.format(file=f"{name}-again.iwb"), []))
    for entry in whole.steps:
        cells += _step(entry, again.get(entry.step.id))
    value = {
        "cells": [{"id": f"cell-{i}", **cell} for i, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"


def _step(entry: StepAccount, recipe: RecipeStep | None) -> list[dict[str, Any]]:
    step = entry.step
    lines = "\n".join(f"- {plain(name)}: {code(value)}" for name, value in particulars(step))
    said = f"**{step.status}**" + plain(ending(step)).removeprefix(step.status)
    head = _markdown(f"## Step {step.id}: {plain(step.operation)}\n\n{said}\n\n{lines}", *_notes(entry.notes))
    shown = _outputs(entry)
    if recipe is None:
        if not shown:
            return [head]
        again = "The same work as an earlier step: " if step.status == "done" else "Not done again here: "
        return [head, _code(f"# {again}{step.operation}", shown), *_artifact_notes(entry)]
    variable = _variable(recipe.id)
    words = [_literal(step.operation)]
    words += [_argument(name, value) for name, value in recipe.parameters.items()]
    if recipe.seed:
        words += [_literal("--seed"), _literal(str(recipe.seed))]
    return [head, _code(f"{variable} = run({', '.join(words)})", shown), *_artifact_notes(entry)]


def _variable(name: str) -> str:
    word = name.replace("-", "_")
    return (
        word + "_" if keyword.iskeyword(word) or word in ("run", "read", "iwb", "json", "subprocess", "FILE") else word
    )


def _argument(name: str, value: Any) -> str:
    if isinstance(value, str):
        if reference := parse_reference(value):
            return f'f"{name}={_artifact_of(reference)}"'
        return _literal(f"{name}={value[1:] if value.startswith('@@') else value}")
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        references = [parse_reference(item) for item in value]
        if all(references):
            return f'f"{name}={",".join(_artifact_of(one) for one in references if one)}"'
    return _literal(f"{name}={msgspec.json.encode(value).decode()}")


def _artifact_of(reference: Reference) -> str:
    """The artifact's number, within an f-string."""
    return f"@{{{_variable(reference.step)}[{reference.output - 1}]}}"


def _literal(text: str) -> str:
    return msgspec.json.encode(text).decode() if text.isprintable() else repr(text)


def _outputs(entry: StepAccount) -> list[dict[str, Any]]:
    """What the step left, as `run` prints it, and pictures of what is better seen."""
    outputs: list[dict[str, Any]] = []
    for left in entry.artifacts:
        if left.artifact is None:
            outputs.append({"output_type": "stream", "name": "stderr", "text": f"@{left.stored.id}: {left.problem}\n"})
            continue
        text = render(left.artifact)
        outputs.append({"output_type": "stream", "name": "stdout", "text": text + "\n"})
        if isinstance(left.artifact, Matrix | Series | Points | Graph):
            drawn = DEFINITIONS + page.contents(left.artifact)
            data = {"text/html": drawn, "text/plain": left.artifact.title}
            outputs.append({"output_type": "display_data", "data": data, "metadata": {}})
    return outputs


def _artifact_notes(entry: StepAccount) -> list[dict[str, Any]]:
    return [
        _markdown(f"On @{left.stored.id} {plain(left.stored.title)}:", *_notes(left.notes))
        for left in entry.artifacts
        if left.notes
    ]


def _notes(notes: tuple[Note, ...]) -> list[str]:
    return [quoted(f"**Note, {moment(note.created)}.** {note.text}") for note in notes]


def _markdown(*parts: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": "\n\n".join(parts)}


def _code(source: str, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "source": source.rstrip(), "outputs": outputs, "execution_count": None}
