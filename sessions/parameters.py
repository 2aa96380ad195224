"""Operations and their parameters as data: what a form shows, and how a value that a person gave is read and checked.

Both sides of the process boundary use this, so that a form refuses what the engine would refuse, in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from sessions.errors import CallError, nearest


class FieldInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter, as a form or the command line needs it. Crosses the process boundary."""

    name: str
    type: Literal["int", "float", "str", "bool", "choice", "artifact", "artifacts", "list"]
    help: str = ""
    required: bool = False
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False  # the minimum itself is out of range
    open_maximum: bool = False
    choices: tuple[str, ...] = ()
    kind: str = ""  # for type "artifact" and its list "artifacts": the kind that fits
    optional: bool = False  # None is allowed
    text: str = ""  # "rasp": the text of a program, which `@FILE` and a Program artifact's `@ID` may stand for


class OperationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the catalogue, without its function."""

    name: str
    title: str
    summary: str
    fields: tuple[FieldInfo, ...]
    gives: tuple[str, ...]
    version: int
    interactive: bool
    live: bool = False  # may be asked while a person types, without a step in the file
    source: str = ""


def expected(field: FieldInfo) -> str:
    """What the field takes, in words."""
    if field.choices:
        return "one of " + ", ".join(field.choices)
    if field.text:
        return "a program: its text, a name of the library such as sort, @FILE, or @ID of a program"
    if field.type == "artifact":
        return f"a {field.kind}, written @ID or @last" + (
            ", or a source such as zoo:tpp" if field.kind == "model" else ""
        )
    if field.type == "artifacts":
        return f"a list of @ID of {plural(field.kind)}, written @1,@2" + (
            ", or sources such as zoo:tpp" if field.kind == "model" else ""
        )
    names = {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "str": "text",
        "list": "a JSON list",
    }
    closed = not (field.open_minimum or field.open_maximum)
    if field.minimum is not None and field.maximum is not None and closed:
        bounds = f" from {field.minimum:g} to {field.maximum:g}"
    else:
        low = "" if field.minimum is None else f" {'above' if field.open_minimum else 'of at least'} {field.minimum:g}"
        high = "" if field.maximum is None else f" {'below' if field.open_maximum else 'of at most'} {field.maximum:g}"
        bounds = " and".join(part for part in (low, high) if part)
    return names[field.type] + bounds


def plural(kind: str) -> str:
    """Several artifacts of a kind, in words."""
    return {"matrix": "matrices", "series": "series", "points": "points", "prompts": "prompts"}.get(kind, f"{kind}s")


def references_written(references: Iterable[Any]) -> str:
    """A list of references as a person types it: `@1,@2`; as JSON where a name in it has a comma or a bracket."""
    texts = [str(reference) for reference in references]
    plain = all("," not in text and not text.startswith("[") for text in texts)
    return ",".join(texts) if plain else msgspec.json.encode(texts).decode()


def _references(value: Any) -> list[str]:
    """`@1,@2`, a JSON list, or a list. ValueError when a part of it is no text or number, or empty."""
    if isinstance(value, str):
        text = value.strip()
        value = msgspec.json.decode(text) if text.startswith("[") else text.split(",") if text else []
    if not isinstance(value, list | tuple) or any(isinstance(v, bool) or not isinstance(v, str | int) for v in value):
        raise ValueError("not a list of references")
    found = [str(part).strip() for part in value]
    if not all(found):
        raise ValueError("an empty reference")
    return found


def check_value(operation: str, field: FieldInfo, value: Any) -> Any:
    """The value in its field's type; text is read the way a person writes it. CallError says what would be right."""
    wrong = CallError(f"'{value}' does not fit parameter '{field.name}'", operation, f"give {expected(field)}")
    if value is None or (isinstance(value, str) and field.optional and value.lower() in ("", "none", "null")):
        if field.optional:
            return None
        raise wrong
    try:
        match field.type:
            case "choice":
                close = nearest(str(value), field.choices)
                if str(value) not in field.choices:
                    raise CallError(
                        f"'{value}' does not fit parameter '{field.name}'", operation, f"{close} ({expected(field)})"
                    )
                return str(value)
            case "bool":
                words = {
                    "true": True,
                    "false": False,
                    "yes": True,
                    "no": False,
                    "1": True,
                    "0": False,
                    "on": True,
                    "off": False,
                }
                return value if isinstance(value, bool) else words[str(value).lower()]
            case "int" | "float":
                if isinstance(value, bool):
                    raise wrong
                number = int(value) if field.type == "int" and not isinstance(value, float) else float(value)
                if field.type == "int" and number != int(number):
                    raise wrong
                low, high = field.minimum, field.maximum
                below = low is not None and (number <= low if field.open_minimum else number < low)
                above = high is not None and (number >= high if field.open_maximum else number > high)
                if below or above or number != number:
                    raise CallError(f"{field.name}={value} is out of range", operation, f"give {expected(field)}")
                return int(number) if field.type == "int" else number
            case "artifacts":
                found = _references(value)
                if not found and field.required:
                    raise wrong
                return found
            case "list":
                items = msgspec.json.decode(value) if isinstance(value, str) else value
                if not isinstance(items, list | tuple):
                    raise wrong
                return list(items)
            case _:
                return str(value)
    except (ValueError, KeyError, TypeError, OverflowError, msgspec.DecodeError):
        raise wrong from None
