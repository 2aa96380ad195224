"""`iwb recipes`: the recipes that are bundled, and the values that a recipe lets you change."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import msgspec

from sessions.errors import CallError, nearest
from sessions.recipes import Recipe, read
from sessions.recipes.values import said

FOLDER = Path(__file__).resolve().parents[1] / "recipes"


def bundled() -> tuple[str, ...]:
    """The names of the recipes that come with iwb."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def is_recipe(word: str) -> bool:
    """Whether it stands for a recipe: a .toml file, or the name of a bundled one."""
    return word.endswith(".toml") or word in bundled()


def recipe_path(word: str) -> Path:
    """The file that a word stands for. CallError for a missing file whose name is that of a bundled recipe."""
    path = Path(word)
    if not word.endswith(".toml"):
        if word not in bundled():
            raise CallError(
                f"there is no bundled recipe '{word}'", remedy=nearest(word, bundled()) or "give a .toml file"
            )
        return FOLDER / f"{word}.toml"
    if not path.exists() and path.stem in bundled():
        raise CallError("no such file", word, f"the bundled recipe of that name is '{path.stem}', without .toml")
    return path


def words_of(values: list[str], where: str) -> Mapping[str, str]:
    """`name=value` words as names and values. CallError for another word, or a name that is there twice."""
    found: dict[str, str] = {}
    for word in values:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise CallError(f"'{word}' gives no value", where, "write name=value")
        if name in found:
            raise CallError(f"the value '{name}' is given twice", where)
        found[name] = value
    return found


def answer(options: argparse.Namespace) -> int:
    """List the bundled recipes, or tell one in full."""
    if options.recipe:
        recipe = read(recipe_path(options.recipe))
        print(
            msgspec.json.encode(described(recipe)).decode()
            if options.json
            else "\n".join(_in_full(options.recipe, recipe))
        )
        return 0
    recipes = {name: read(recipe_path(name)) for name in bundled()}
    if options.json:
        print(msgspec.json.encode({"recipes": [{"recipe": n} | described(r) for n, r in recipes.items()]}).decode())
        return 0
    width = max(map(len, recipes), default=0)
    for name, recipe in recipes.items():
        print(f"{name:<{width}}  {recipe.name} ({len(recipe.steps)} steps)")
    print("\niwb recipes NAME tells its steps and values; iwb run FILE.iwb NAME [name=value ...] runs it")
    return 0


def described(recipe: Recipe) -> dict[str, object]:
    """A recipe as plain values: its name, its steps, and what may be changed."""
    steps = [{"id": step.id, "operation": step.operation, "note": step.note} for step in recipe.steps]
    values = [
        {"name": name, "default": value, "comment": recipe.comments.get(name, "")}
        for name, value in recipe.values.items()
    ]
    return {"name": recipe.name, "steps": steps, "values": values}


def _in_full(word: str, recipe: Recipe) -> list[str]:
    lines = [recipe.name or word, ""]
    width = max((len(step.id) for step in recipe.steps), default=0)
    side = max((len(step.operation) for step in recipe.steps), default=0)
    for step in recipe.steps:
        first = step.note.strip().partition("\n")[0]
        lines.append(f"  {step.id:<{width}}  {step.operation:<{side}}  {first}".rstrip())
    if recipe.values:
        lines += ["", f"values (iwb run FILE.iwb {word} name=value ...):", ""]
        lines += ["  " + line for line in said(recipe.values, recipe.comments)]
    return lines


__all__ = ["bundled", "is_recipe", "recipe_path", "words_of"]
