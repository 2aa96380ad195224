"""A recipe as TOML for a person to edit, and the recipe that a session amounts to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import tomli_w

from sessions.errors import IwbError
from sessions.investigation import Investigation
from sessions.recipes.recipe import ARTIFACT, ID, Recipe, RecipeStep, Reference, rewritten
from sessions.steps import Step, Stored


def write(recipe: Recipe) -> str:
    """The recipe as TOML for a person to edit: one block per step, its comment above it."""
    title = recipe.name or "An investigation"
    parts = [f"{_comment(title)}# Run it with: iwb run FILE.iwb THIS-FILE.toml\n"]
    head = {key: value for key, value in (("name", recipe.name), ("iwb", recipe.iwb)) if value}
    if head:
        parts.append(tomli_w.dumps(head))
    for step in recipe.steps:
        block: dict[str, Any] = {"id": step.id, "operation": step.operation}
        if step.seed:
            block["seed"] = step.seed
        if step.note:
            block["note"] = step.note
        if step.shown != ():
            block["print"] = True if step.shown is None else list(step.shown)
        text = f"{_comment(step.comment)}[[step]]\n{tomli_w.dumps(block)}"
        if step.parameters:
            chosen = {name: value for name, value in step.parameters.items() if name not in step.defaults}
            rest = {name: value for name, value in step.parameters.items() if name in step.defaults}
            text += f"\n[step.parameters]\n{_toml(chosen)}"
            text += f"# left at their defaults:\n{_toml(rest)}" if rest else ""
        parts.append(text)
    return "\n".join(parts)


def _toml(values: Mapping[str, Any]) -> str:
    """Texts of several lines (programs) as such. Not where a carriage return stands in one: TOML would drop it."""
    return tomli_w.dumps(values, multiline_strings="\\r" not in _json(values).replace("\\\\", ""))


def _comment(text: str) -> str:
    """The text as comment lines. Control characters other than a tab are forbidden in a TOML comment."""
    return "".join(f"# {''.join(c for c in line if c.isprintable())}\n" for line in text.splitlines())


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def recipe_of(investigation: Investigation, *, name: str = "") -> Recipe:
    """The recipe that would make this investigation's finished steps again.

    Steps that were done, with references rewritten to step ids; work done twice is listed once. A step that was not
    finished is left out, unless a finished one stands on what it left. IwbError when a reference has no maker.
    """
    steps = investigation.steps()
    version = next((step.environment.iwb for step in reversed(steps) if step.environment.iwb), "")
    return Recipe(name=name, iwb=version, steps=tuple(planned(investigation).values()))


def planned(investigation: Investigation) -> dict[int, RecipeStep]:
    """The recipe's steps by the number of the session's step that each would do again."""
    steps = investigation.steps()
    stored = {step.id: investigation.artifacts(step.id) for step in steps}
    maker = {artifact.id: step.id for step in steps for artifact in stored[step.id]}
    wanted = _wanted(steps, maker)
    recipe: dict[int, RecipeStep] = {}
    ids: dict[int, str] = {}  # session step -> recipe id
    notes = investigation.notes()
    first: dict[str, int] = {}  # key -> the session step that stands for all with that key
    for step in steps:
        if step.id not in wanted:
            continue
        if step.key and step.key in first:
            ids[step.id] = ids[first[step.key]]
            continue
        first.setdefault(step.key, step.id)
        ids[step.id] = _short_id(step, stored[step.id], set(ids.values()))
        recipe[step.id] = RecipeStep(
            id=ids[step.id],
            operation=step.operation,
            parameters=_portable(step, ids, maker, stored),
            seed=step.seed,
            note="\n\n".join(note.text for note in notes if note.step == step.id),
            comment="\n".join(artifact.title for artifact in stored[step.id]),
            defaults=tuple(name for name in step.parameters if name not in step.given),
        )
    return recipe


def _wanted(steps: Sequence[Step], maker: Mapping[int, int]) -> set[int]:
    by_id = {step.id: step for step in steps}
    wanted: set[int] = set()
    queue = [step.id for step in steps if step.status == "done"]
    while queue:
        step = by_id[queue.pop()]
        if step.id not in wanted:
            wanted.add(step.id)
            queue += [maker[a] for a in _inputs(step) if a in maker]
    return wanted


def _inputs(step: Step) -> set[int]:
    found = set(step.inputs.values())

    def note(text: str) -> str:
        if match := ARTIFACT.fullmatch(text):
            found.add(int(match.group(1)))
        return text

    rewritten(step.parameters, note)
    return found


def _short_id(step: Step, artifacts: Sequence[Stored], taken: set[str]) -> str:
    """`model` and `prompts` for what leaves one, else the operation's last word; numbered when taken."""
    kinds = [artifact.kind for artifact in artifacts]
    word = kinds[0] if kinds[:1] in (["model"], ["prompts"]) else re.split(r"[._]", step.operation)[-1]
    word = re.sub(r"[^A-Za-z0-9-]", "", word)
    if not ID.fullmatch(word) or word == "last":
        word = "step"
    numbered = (f"{word}{i}" for i in range(2, len(taken) + 3))
    return word if word not in taken else next(w for w in numbered if w not in taken)


def _portable(
    step: Step, ids: Mapping[int, str], maker: Mapping[int, int], stored: Mapping[int, Sequence[Stored]]
) -> dict[str, Any]:
    def reference(artifact: int) -> str:
        owner = maker.get(artifact)
        if owner is None or owner not in ids:
            raise IwbError(f"step {step.id} uses @{artifact}, which no step of this session left", step.operation)
        output = [a.id for a in stored[owner]].index(artifact) + 1
        return str(Reference(ids[owner], output))

    def rewrite(text: str) -> str:
        if match := ARTIFACT.fullmatch(text):
            return reference(int(match.group(1)))
        return "@" + text if text.startswith("@") else text

    referring = step.referring(reference)

    def value_of(name: str, value: Any) -> Any:
        if name in step.references:
            return referring[name]
        if value is None:
            return "none"
        value = rewritten(value, rewrite)
        # What TOML cannot say (a null in a list, a table) is JSON in a string, which list parameters read as well.
        return _json(value) if isinstance(value, dict) or _has_null(value) else value

    # An optional parameter that nobody gave says nothing; every other default is written, as a later iwb may change it.
    said = {name: v for name, v in step.parameters.items() if v is not None or name in step.given}
    return {name: value_of(name, value) for name, value in said.items()}


def _has_null(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_has_null(item) for item in value)
    if isinstance(value, dict):
        return any(_has_null(item) for item in value.values())
    return value is None
