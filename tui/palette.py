"""What the palette lists and how it ranks, and reading a typed command line: plain Python.

An entry is an action of the table or an operation of the catalogue. Nothing here waits for the engine.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from textual.fuzzy import FuzzySearch

from sessions.errors import CallError, nearest
from sessions.parameters import OperationInfo, check_value


class Entry(NamedTuple):
    """One line of the palette. `reason` says why it cannot be done now; empty: it can."""

    id: str
    title: str
    detail: str
    key: str = ""
    reason: str = ""


class CommandLine(NamedTuple):
    operation: str
    values: dict[str, Any]
    seed: int = 0


RECENT = 20  # remembered


def ranked(entries: Iterable[Entry], query: str, recent: tuple[str, ...]) -> list[Entry]:
    """Entries that match, best first; among equals, and with no query, the recently used first."""
    order = {id: place for place, id in enumerate(recent)}
    if not query.strip():
        return sorted(entries, key=lambda e: (order.get(e.id, len(order)), bool(e.reason)))
    search = FuzzySearch()
    found = []
    for entry in entries:
        score = max(search.match(query, entry.title)[0], 0.9 * search.match(query, entry.id)[0])
        if score > 0:
            found.append((score, entry))
    found.sort(key=lambda pair: (-pair[0], order.get(pair[1].id, len(order)), bool(pair[1].reason)))
    return [entry for _, entry in found]


def remembered(recent: tuple[str, ...], used: str) -> tuple[str, ...]:
    """The recently used ids with `used` in front."""
    return (used, *(id for id in recent if id != used))[:RECENT]


def is_command(text: str, catalogue: Mapping[str, OperationInfo]) -> bool:
    """Whether the text is meant as a command line and not as letters to find."""
    words = text.split()
    return bool(words) and (words[0] in catalogue or ("." in words[0] and len(words) > 1))


def names_only(text: str) -> bool:
    """Whether a command line names its operation and nothing else: its form asks for the rest."""
    return len(text.split()) == 1


def parse_command(text: str, catalogue: Mapping[str, OperationInfo]) -> CommandLine:
    """`circuits.head_sweep model=@1 prompts=@2 --seed 3` as the engine wants it.

    A leading `iwb run FILE` is accepted. CallError with one sentence when it is not right.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise CallError(f"this line cannot be read ({error})", remedy="close the quotes") from None
    if words[:2] == ["iwb", "run"]:
        words = words[3:]
    if not words:
        raise CallError("no operation is named", remedy="write an operation, then name=value")
    operation, *rest = words
    info = catalogue.get(operation)
    if info is None:
        raise CallError(f"unknown operation '{operation}'", remedy=nearest(operation, catalogue))
    fields = {field.name: field for field in info.fields}
    values: dict[str, Any] = {}
    seed = 0
    while rest:
        word = rest.pop(0)
        if word == "--seed" and rest:
            word = f"--seed={rest.pop(0)}"
        if word.startswith("--seed="):
            try:
                seed = int(word.removeprefix("--seed="))
            except ValueError:
                raise CallError(f"'{word}' is not a seed", operation, "give a whole number") from None
            continue
        name, equals, value = word.partition("=")
        if not equals:
            raise CallError(f"'{word}' is not name=value", operation, f"parameters: {', '.join(fields)}")
        if name not in fields:
            remedy = f"the seed is written --seed {value}" if name == "seed" else nearest(name, fields)
            raise CallError(f"unknown parameter '{name}'", operation, remedy)
        values[name] = check_value(operation, fields[name], value)
    missing = [field.name for field in info.fields if field.required and field.name not in values]
    if missing:
        raise CallError(f"parameter '{missing[0]}' is missing", operation, f"give {missing[0]}=...")
    return CommandLine(operation, values, seed)
