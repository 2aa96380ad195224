"""A recipe from TOML, with the line of whatever is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sessions.errors import CallError, nearest
from sessions.recipes.recipe import ID, Recipe, RecipeStep, parse_reference, rewritten

_RECIPE_KEYS = ("name", "iwb", "step")
_STEP_KEYS = ("id", "operation", "seed", "note", "parameters")
_LARGEST = 2**63 - 1  # TOML's integers, and SQLite's


def read(path: Path) -> Recipe:
    """The recipe in a file. CallError with the line, where the file is missing or wrong."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise CallError("no such file", str(path)) from None
    except UnicodeDecodeError:
        raise CallError("this is not a text file in UTF-8", str(path), "give a recipe in TOML") from None
    except OSError as error:
        raise CallError(f"cannot be read ({error.strerror})", str(path)) from None
    return parse(text, str(path))


def parse(text: str, where: str = "recipe") -> Recipe:
    """The recipe that the TOML text is. CallError names the line and what would be right."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CallError(f"not TOML: {error}", where) from None
    lines = _Lines(text, where)
    _known(document, _RECIPE_KEYS, "key", lines.of_recipe)
    for key in ("name", "iwb"):
        if not isinstance(document.get(key, ""), str):
            raise CallError(f"'{key}' must be text", lines.of_recipe(key))
    tables = document.get("step", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise CallError("'step' must be a list of tables", lines.of_recipe("step"), "begin each step with [[step]]")
    steps: list[RecipeStep] = []
    for index, table in enumerate(tables):
        steps.append(_step(table, steps, [str(t.get("id")) for t in tables], index, lines))
    return Recipe(name=document.get("name", ""), iwb=document.get("iwb", ""), steps=tuple(steps))


def _step(
    table: dict[str, Any], earlier: Sequence[RecipeStep], all_ids: Sequence[str], index: int, lines: _Lines
) -> RecipeStep:
    def at(key: str = "") -> str:
        return lines.of_step(index, key)

    _known(table, _STEP_KEYS, "key", at)
    for key in ("id", "operation"):
        if key not in table:
            raise CallError(f"step {index + 1} has no '{key}'", at(), f'add {key} = "..."')
        if not isinstance(table[key], str):
            raise CallError(f"'{key}' must be text", at(key), f'write {key} = "..."')
    name, seed, parameters = table["id"], table.get("seed", 0), table.get("parameters", {})
    if not ID.fullmatch(name) or name == "last":
        raise CallError(f"'{name}' cannot be a step's id", at("id"), "use a word of letters, digits, - and _")
    if any(step.id == name for step in earlier):
        raise CallError(f"two steps have the id '{name}'", at("id"), "give each step its own")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _LARGEST:
        raise CallError(f"seed={seed} is not a seed", at("seed"), "give a whole number from 0")
    if not isinstance(table.get("note", ""), str):
        raise CallError("'note' must be text", at("note"), 'write note = "..."')
    if not isinstance(parameters, dict):
        raise CallError("'parameters' must be a table", at("parameters"), "write [step.parameters]")
    for key, value in parameters.items():
        if isinstance(value, dict):
            raise CallError(f"'{key}' is a table, and no parameter is one", at(key), "give a value or a list")
        _check_value(value, key, at(key))
        _check_references(value, earlier, all_ids, at(key))
    return RecipeStep(
        id=name, operation=table["operation"], parameters=parameters, seed=seed, note=table.get("note", "")
    )


def _known(table: Mapping[str, Any], known: Sequence[str], what: str, at: Callable[[str], str]) -> None:
    for key in table:
        if key not in known:
            raise CallError(f"unknown {what} '{key}'", at(key), nearest(key, known))


def _check_value(value: Any, key: str, where: str) -> None:
    match value:
        case str() | bool() | float():
            return
        case int():
            if abs(value) > _LARGEST:
                raise CallError(f"the number in '{key}' is too large", where)
        case list():
            for item in value:
                _check_value(item, key, where)
        case dict():
            for item in value.values():
                _check_value(item, key, where)
        case _:
            raise CallError(f"'{key}' is a date or a time, and no parameter is one", where, "quote it")


def _check_references(value: Any, earlier: Sequence[RecipeStep], all_ids: Sequence[str], where: str) -> None:
    def check(text: str) -> str:
        try:
            reference = parse_reference(text)
        except CallError as error:
            raise CallError(error.what, where, error.remedy) from None
        known = [step.id for step in earlier]
        if reference and reference.step not in known:
            if reference.step in all_ids:
                raise CallError(f"'{text}' refers to a later step", where, "put that step before this one")
            remedy = nearest(reference.step, known) or "no step comes before this one"
            raise CallError(f"'{text}' refers to no step", where, remedy)
        return text

    rewritten(value, check)


class _Lines:
    """Where in the text a key stands. `tomllib` gives values without places, so the places are looked up by the headers
    that recipes have; a recipe written another way (inline tables) gets the step's number instead of a line."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.lines = text.splitlines()
        self.starts = [i for i, line in enumerate(self.lines) if re.match(r"\s*\[\[\s*step\s*\]\]", line)]

    def of_recipe(self, key: str) -> str:
        end = self.starts[0] if self.starts else len(self.lines)
        found = self._key(key, 0, end)
        return self.where if found is None else f"{self.where}, line {found + 1}"

    def of_step(self, index: int, key: str = "") -> str:
        if index >= len(self.starts):
            return f"{self.where}, step {index + 1}"
        start = self.starts[index]
        end = self.starts[index + 1] if index + 1 < len(self.starts) else len(self.lines)
        found = self._key(key, start, end) if key else None
        return f"{self.where}, line {(start if found is None else found) + 1}"

    def _key(self, key: str, start: int, end: int) -> int | None:
        pattern = re.compile(rf"""\s*(\[\s*step\.)?(["']?){re.escape(key)}\2\s*[=\].]""")
        return next((i for i in range(start, end) if pattern.match(self.lines[i])), None)
