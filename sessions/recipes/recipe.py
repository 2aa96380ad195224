"""What a recipe is: typed steps, and references between them that the engine's artifact numbers replace."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from sessions.errors import CallError

ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
ARTIFACT = re.compile(r"@(\d+)")

Scalar = str | bool | int | float
Value = Scalar | tuple[Scalar, ...]  # what `[values]` holds


class Reference(msgspec.Struct, frozen=True):
    """`@sweep` or `@sweep.2`: an artifact by the step that leaves it; `output` counts from 1."""

    step: str
    output: int = 1

    def __str__(self) -> str:
        return f"@{self.step}" + (f".{self.output}" if self.output > 1 else "")


class RecipeStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step to do. `parameters` are TOML values, references among them as text; `note` is put on the step when done.
    `shown` are the outputs (counted from 1) that are printed when the recipe has been run; empty: none, None: all.

    For the reader of the file only, written and never read back: `comment` stands above the step, and parameters named
    in `defaults` stand last, marked as values that nobody chose.
    """

    id: str
    operation: str
    parameters: dict[str, Any] = {}
    seed: int = 0
    note: str = ""
    shown: tuple[int, ...] | None = ()
    comment: str = ""
    defaults: tuple[str, ...] = ()

    def references(self) -> tuple[Reference, ...]:
        found: list[Reference] = []

        def note(text: str) -> str:
            if reference := parse_reference(text):
                found.append(reference)
            return text

        rewritten(self.parameters, note)
        return tuple(found)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """An investigation to be done: its name, the iwb version that wrote it, its steps in order.

    `values` are those that whoever runs it may change (see values.py), already put into the steps; `comments` say what
    they are.
    """

    name: str = ""
    iwb: str = ""
    steps: tuple[RecipeStep, ...] = ()
    values: dict[str, Value] = {}
    comments: dict[str, str] = {}


def parse_reference(text: str) -> Reference | None:
    """The reference a parameter value is, or None for plain text. CallError when it begins with @ but is neither."""
    if not text.startswith("@") or text.startswith("@@"):
        return None
    name, dot, output = text[1:].partition(".")
    if ARTIFACT.fullmatch("@" + name):
        raise CallError(f"'{text}' is an artifact's number in some session", remedy="refer to a step by its id")
    if name == "last":
        raise CallError("'@last' means another thing in every session", remedy="refer to a step by its id")
    if not ID.fullmatch(name) or (dot and not re.fullmatch(r"[1-9]\d{0,5}", output)):
        raise CallError(f"'{text}' is not a reference", remedy="write @STEP, @STEP.2 or, for plain text, @@")
    return Reference(name, int(output) if dot else 1)


def resolve(step: RecipeStep, produced: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """The step's parameters as the engine takes them, `@ID` for every reference.

    `produced` gives the artifact ids each finished step left. CallError when a reference points at nothing.
    """

    def number(text: str) -> str:
        reference = parse_reference(text)
        if reference is None:
            return text[1:] if text.startswith("@@") else text
        ids = produced.get(reference.step)
        if ids is None:
            raise CallError(f"'{text}': no step '{reference.step}' was run", f"step '{step.id}'")
        if reference.output > len(ids):
            left = "1 artifact" if len(ids) == 1 else f"{len(ids)} artifacts"
            raise CallError(f"'{text}': step '{reference.step}' left {left}", f"step '{step.id}'")
        return f"@{ids[reference.output - 1]}"

    resolved: dict[str, Any] = rewritten(step.parameters, number)
    return resolved


def rewritten(value: Any, change: Callable[[str], Any]) -> Any:
    """The value with every text in it replaced by what `change` makes of it."""
    match value:
        case str():
            return change(value)
        case list() | tuple():
            return [rewritten(item, change) for item in value]
        case dict():
            return {name: rewritten(item, change) for name, item in value.items()}
        case _:
            return value
