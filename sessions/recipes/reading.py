"""A recipe from TOML, with the line of whatever is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sessions.errors import CallError, nearest
from sessions.recipes.recipe import ID, Recipe, RecipeStep, Value, parse_reference, rewritten
from sessions.recipes.values import checked, comment_of, filled, overridden

_RECIPE_KEYS = ("name", "iwb", "values", "step")
_STEP_KEYS = ("id", "operation", "seed", "note", "print", "parameters")
_LARGEST = 2**63 - 1  # TOML's integers, and SQLite's


def read(path: Path, words: Mapping[str, str] | None = None) -> Recipe:
    """The recipe in a file, with the values in `words` in place of its own. CallError with the line, where the file is
    missing or wrong, or has no such value."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise CallError("no such file", str(path)) from None
    except UnicodeDecodeError:
        raise CallError("this is not a text file in UTF-8", str(path), "give a recipe in TOML") from None
    except OSError as error:
        raise CallError(f"cannot be read ({error.strerror})", str(path)) from None
    return parse(text, str(path), words)


def parse(text: str, where: str = "recipe", words: Mapping[str, str] | None = None) -> Recipe:
    """The recipe that the TOML text is, with the values in `words` (as written on a command line) in place of its own.
    CallError names the line and what would be right."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CallError(f"not TOML: {error}", where) from None
    lines = _Lines(text, where)
    _known(document, _RECIPE_KEYS, "key", lines.of_recipe)
    for key in ("name", "iwb"):
        if not isinstance(document.get(key, ""), str):
            raise CallError(f"'{key}' must be text", lines.of_recipe(key))
    values, comments = _values(document, lines, words or {})
    tables = document.get("step", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise CallError("'step' must be a list of tables", lines.of_recipe("step"), "begin each step with [[step]]")
    steps: list[RecipeStep] = []
    used: set[str] = set()
    for index, table in enumerate(tables):
        table = _filled(table, values, used, index, lines)
        steps.append(_step(table, steps, [str(t.get("id")) for t in tables], index, lines))
    for name in values:
        if name not in used:
            raise CallError(f"no step uses the value '{name}'", lines.of_value(name), f'write "${name}" in a parameter')
    return Recipe(
        name=document.get("name", ""),
        iwb=document.get("iwb", ""),
        steps=tuple(steps),
        values=values,
        comments=comments,
    )


def _values(
    document: dict[str, Any], lines: _Lines, words: Mapping[str, str]
) -> tuple[dict[str, Value], dict[str, str]]:
    table = document.get("values", {})
    if not isinstance(table, dict):
        raise CallError("'values' must be a table", lines.of_recipe("values"), "write [values]")
    values = {name: checked(name, value, lines.of_value(name)) for name, value in table.items()}
    return overridden(values, words, lines.where), {name: comment_of(lines.value(name)) for name in values}


def _filled(
    table: dict[str, Any], values: Mapping[str, Value], used: set[str], index: int, lines: _Lines
) -> dict[str, Any]:
    """The step with the recipe's values in its parameters, its seed and its note."""
    if not values:
        return table

    def at(key: str, value: Any) -> Any:
        try:
            return filled(value, values, used)
        except CallError as error:
            raise CallError(error.what, lines.of_step(index, key), error.remedy) from None

    found = {key: at(key, value) if key in ("seed", "note") else value for key, value in table.items()}
    if isinstance(table.get("parameters"), dict):
        found["parameters"] = {key: at(key, value) for key, value in table["parameters"].items()}
    return found


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
    shown = _shown(table.get("print", False), at("print"))
    if not isinstance(parameters, dict):
        raise CallError("'parameters' must be a table", at("parameters"), "write [step.parameters]")
    for key, value in parameters.items():
        if isinstance(value, dict):
            raise CallError(f"'{key}' is a table, and no parameter is one", at(key), "give a value or a list")
        _check_value(value, key, at(key))
        _check_references(value, earlier, all_ids, at(key))
    return RecipeStep(
        id=name,
        operation=table["operation"],
        parameters=parameters,
        seed=seed,
        note=table.get("note", ""),
        shown=shown,
    )


def _shown(value: Any, where: str) -> tuple[int, ...] | None:
    if isinstance(value, bool):
        return None if value else ()
    outputs = value if isinstance(value, list) else [value]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in outputs):
        raise CallError("'print' says neither true nor which outputs", where, "write print = true, or print = [1, 2]")
    return tuple(outputs)


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

    def of_value(self, name: str) -> str:
        found = self._value(name)
        return f"{self.where}, [values]" if found is None else f"{self.where}, line {found + 1}"

    def value(self, name: str) -> str:
        """The line on which the recipe gives a value; empty where it cannot be found."""
        found = self._value(name)
        return "" if found is None else self.lines[found]

    def _value(self, name: str) -> int | None:
        heads = (i for i, line in enumerate(self.lines) if re.match(r"\s*\[\s*values\s*\]", line))
        start = next(heads, None)
        if start is None:
            return None
        end = next((i for i in range(start + 1, len(self.lines)) if re.match(r"\s*\[", self.lines[i])), len(self.lines))
        return self._key(name, start + 1, end)

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
