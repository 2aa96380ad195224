"""Values of a recipe that whoever runs it may change: `[values]` at its head, `$name` where one is meant.

    [values]
    model = "zoo:base"     # any transformer
    n = 3000               # prompts

    [step.parameters]
    source = "$model"      # the value itself: a number stays a number, a list a list
    n = "$n"

`${name}` is the same, and stands inside a longer text too; `$$` is a plain dollar sign. A recipe without `[values]`
knows no dollar signs.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from sessions.errors import CallError, nearest
from sessions.recipes.recipe import Value, rewritten

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ALONE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([^{}]*)\})")
_WITHIN = re.compile(r"\$\$|\$\{([^{}]*)\}")
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def checked(name: str, value: Any, where: str) -> Value:
    """The value as a recipe gives it. CallError for what no value can be."""
    if not NAME.fullmatch(name):
        raise CallError(f"'{name}' cannot be a value's name", where, "use a word of letters, digits and _")
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | bool | int | float) for item in items):
        raise CallError(f"the value '{name}' is neither text, a number, true or false, nor a list of such", where)
    if any(isinstance(item, str) and item.startswith("@") for item in items):
        raise CallError(f"the value '{name}' begins with @", where, "refer to a step in the step's own parameters")
    return tuple(items) if isinstance(value, list) else value


def overridden(values: Mapping[str, Value], words: Mapping[str, str], where: str) -> dict[str, Value]:
    """The values, those in `words` as somebody wrote them on a command line. The default says of what type each is.

    CallError for a name the recipe does not have, and for a word that is not of the default's type.
    """
    for name in words:
        if name not in values:
            known = nearest(name, values) or "it has no [values]"
            raise CallError(f"the recipe has no value '{name}'", where, known)
    return {
        name: read_as(value, words[name], name, where) if name in words else value for name, value in values.items()
    }


def read_as(default: Value, word: str, name: str, where: str) -> Value:
    """The word as a value of the default's type; items of a list stand between commas."""
    match default:
        case bool():
            if word.lower() in _WORDS:
                return _WORDS[word.lower()]
            wanted = "true or false"
        case int():
            if re.fullmatch(r"[+-]?\d+(_\d+)*", word.strip()):
                return int(word)
            wanted = "a whole number"
        case float():
            try:
                return float(word)
            except ValueError:
                wanted = "a number"
        case tuple():
            parts = [
                part.strip() for part in word.strip().removeprefix("[").removesuffix("]").split(",") if part.strip()
            ]
            kind: Any = default[0] if default else ""
            items = [read_as(kind, part.strip("\"'"), name, where) for part in parts]
            return tuple(item for item in items if not isinstance(item, tuple))
        case _:
            return word
    raise CallError(f"'{word}' does not fit the value '{name}'", where, f"give {wanted}, such as {text_of(default)}")


def filled(value: Any, values: Mapping[str, Value], used: set[str]) -> Any:
    """The parameter with the values in the place of their names, which are added to `used`. A value that begins with @
    is text to the recipe, and an artifact of the session (`@3`) to the operation. CallError for an unknown name."""

    def of(name: str, text: str) -> Value:
        if name not in values:
            raise CallError(f"'{text}' is no value of this recipe", remedy=nearest(name, values))
        used.add(name)
        return values[name]

    def change(text: str) -> Any:
        if match := _ALONE.fullmatch(text):
            value = of(match[1] or match[2], text)
            return [_plain(item) for item in value] if isinstance(value, tuple) else _plain(value)
        put = _WITHIN.sub(lambda match: "$" if match[0] == "$$" else text_of(of(match[1], match[0])), text)
        return "@" + put if put.startswith("@") and not text.startswith("@") else put

    return rewritten(value, change)


def _plain(value: Any) -> Any:
    return "@" + value if isinstance(value, str) and value.startswith("@") else value


def text_of(value: Value) -> str:
    """A value as it is written on a command line."""
    match value:
        case bool():
            return "true" if value else "false"
        case tuple():
            return ",".join(map(text_of, value))
        case _:
            return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def comment_of(line: str) -> str:
    """What is written after the value of a TOML line `name = value  # comment`."""
    for match in re.finditer("#", line):
        try:
            tomllib.loads(line[: match.start()])
        except tomllib.TOMLDecodeError:
            continue  # a # inside a text
        return line[match.end() :].strip()
    return ""


def said(values: Mapping[str, Value], comments: Mapping[str, str]) -> Sequence[str]:
    """One aligned line per value: name, default, comment."""
    width = max((len(name) for name in values), default=0)
    texts = {name: text_of(value) for name, value in values.items()}
    room = max((len(text) for text in texts.values()), default=0)
    return [f"{name:<{width}}  = {texts[name]:<{room}}  {comments.get(name, '')}".rstrip() for name in values]


__all__ = ["checked", "comment_of", "filled", "overridden", "read_as", "said", "text_of"]
