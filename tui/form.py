"""An operation's form as plain Python: each field's choices and start value, and reading what the person wrote.

The engine checks again; checking here lets a mistake be shown at its field before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sessions.errors import CallError
from sessions.parameters import FieldInfo, OperationInfo, check_value, plural, references_written
from sessions.steps import written
from tui.selection import Selection
from tui.store import Store

_ABSENT = {
    "prompts": "there are no prompts yet: make or open some in Data (2)",
    "model": "there is no model yet: load one in Model (1)",
}


SHOWN_IN = {"graph": "circuit", "program": "program"}  # kinds of which the one a view shows is meant


class Choice(NamedTuple):
    """One thing a field can be set to: what is sent, and what is read."""

    value: str
    label: str


class FormField(NamedTuple):
    """One line of the form. `choices` empty: free text. A list of references is free text too: its choices are what
    may stand in it."""

    info: FieldInfo
    start: str
    choices: tuple[Choice, ...] = ()


def fields_of(
    info: OperationInfo,
    given: Mapping[str, Any],
    store: Store,
    selection: Selection,
    sources: Iterable[Choice] = (),
) -> tuple[FormField, ...]:
    """The form's fields: start values from `given`, else from what is selected, else the defaults.

    `sources` are models that can be named instead of a loaded one.
    """
    made = []
    for field in info.fields:
        choices = choices_of(field, store, sources)
        start = _text(given[field.name], field) if field.name in given else _start(field, store, selection, choices)
        if choices and field.type != "artifacts" and start and start not in {c.value for c in choices}:
            choices = (Choice(start, start), *choices)
        made.append(FormField(field, start, choices))
    return tuple(made if "ablation" in given else _as_found(made, store))


def _as_found(fields: list[FormField], store: Store) -> list[FormField]:
    """A circuit is first judged with the ablation it was found with: another one asks another question."""
    circuit = next((f.start for f in fields if f.info.name == "circuit" and f.start.startswith("@")), "")
    stored = store.stored(int(circuit[1:])) if circuit[1:].isdecimal() else None
    step = None if stored is None else store.step(stored.step)
    found = "" if step is None else str(step.parameters.get("ablation") or "")
    return [f._replace(start=found) if f.info.name == "ablation" and found in f.info.choices else f for f in fields]


def choices_of(field: FieldInfo, store: Store, sources: Iterable[Choice] = ()) -> tuple[Choice, ...]:
    """What a field can be set to, when that can be listed."""
    none = (Choice("", "none"),) if field.optional else ()
    match field.type:
        case "bool":
            return (Choice("true", "yes"), Choice("false", "no"))
        case "choice":
            return none + tuple(Choice(word, word) for word in field.choices)
        case "artifacts":
            return tuple(Choice(f"@{a.id}", f"@{a.id} {a.title}") for a in store.of_kind(field.kind))
        case "artifact":
            fitting = tuple(Choice(f"@{a.id}", f"@{a.id} {a.title}") for a in reversed(store.of_kind(field.kind)))
            return none + fitting + (tuple(sources) if field.kind == "model" else ())
        case _:
            return ()


def _start(field: FieldInfo, store: Store, selection: Selection, choices: tuple[Choice, ...]) -> str:
    if field.type in ("artifact", "artifacts"):
        chosen = {"model": selection.model, "prompts": selection.prompts}.get(field.kind)
        if field.kind in SHOWN_IN:
            chosen = selection.shown.get(SHOWN_IN[field.kind])
            chosen = chosen if any(choice.value == f"@{chosen}" for choice in choices) else None
        if field.optional and field.default is None and (chosen is None or field.name != field.kind):
            return (
                ""  # what is chosen is for the field of its name: `evaluate` on the prompts to train on would be wrong
            )
        if field.type == "artifacts" and not field.required:
            return references_written(field.default or ())
        if chosen is not None and store.stored(chosen) is not None:
            return f"@{chosen}"
        if field.type == "artifacts":
            return choices[-1].value if choices else ""
        return choices[0].value if choices else ""
    if field.default is not None:
        return _text(field.default, field)
    if field.required and choices:
        return choices[0].value
    return ""


def _text(value: Any, field: FieldInfo) -> str:
    if field.type == "artifacts" and isinstance(value, list | tuple):
        return references_written(value)
    return value if isinstance(value, str) else "" if value is None else written(value)


class Read(NamedTuple):
    """What a form says: the values to send, and a sentence at each field that cannot be sent."""

    values: dict[str, Any]
    errors: dict[str, str]


def read(info: OperationInfo, texts: Mapping[str, str]) -> Read:
    """The typed values. A field left at its default is not sent, so a step's record holds what was chosen."""
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for field in info.fields:
        text = texts.get(field.name, "").strip()
        if text == "":
            if field.required:
                missing = (
                    f"name one or more {plural(field.kind)}: @ID,@ID"
                    if field.type == "artifacts"
                    else _ABSENT.get(field.kind, f"there is no {field.kind} yet")
                    if field.type == "artifact"
                    else "this is needed"
                )
                errors[field.name] = missing
            elif field.optional and field.default is not None and field.name in texts:
                values[field.name] = None  # emptied on purpose
            continue
        try:
            value = check_value(info.name, field, text)
        except CallError as error:
            errors[field.name] = f"{error.what}; {error.remedy}" if error.remedy else error.what
            continue
        if field.required or value != field.default:
            values[field.name] = value
    return Read(values, errors)


def field_named(info: OperationInfo, sentence: str) -> str | None:
    """The field that the engine's refusal is about, when it names one."""
    for field in info.fields:
        if re.search(rf"'{re.escape(field.name)}'|\b{re.escape(field.name)}=", sentence):
            return field.name
    return None
