"""What a person gives to an operation: a program by name, by reference or as text; a vocabulary; inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.operations import Context
from engine.rasp.compiled import Domain
from engine.rasp.functions import Value
from engine.rasp.language import SOp
from engine.rasp.library import LIBRARY, program
from engine.rasp.syntax import RaspSyntaxError, parse
from sessions.artifacts import Program
from sessions.errors import CallError

if TYPE_CHECKING:
    from engine.models.labels import Labels

MOST_VALUES = 10_000
LONGEST = 10_000  # tokens of an input


class Source(NamedTuple):
    """A program, its text as it was given, and the domain that goes with it where one is known."""

    program: SOp
    text: str
    title: str
    vocab: tuple[Value, ...] = ()
    max_len: int = 0
    causal: bool = False


def read_program(ctx: Context, given: str, where: str, max_len: int | None = None) -> Source:
    """A library name or call (`sort`, `shift_by(2)`), an artifact (`@12`), or RASP text. `max_len`: for programs of the
    library that are made for inputs up to some length, when they are asked for by their bare name.

    CallError: an artifact in another language, or what the parser says of the text (with its line and column).
    """
    given = given.strip()
    if given.startswith("@") and given[1:].isdecimal():
        artifact = ctx.artifact(given)
        if not isinstance(artifact, Program) or artifact.language != "rasp":
            language = artifact.language if isinstance(artifact, Program) else artifact.kind
            raise CallError(f"{given} is a {language} program, not RASP", where, "give a RASP program or its text")
        known = artifact.facts
        return Source(
            parse(artifact.source),
            artifact.source,
            artifact.title,
            tuple(known.get("vocab", ())),
            int(known.get("max_len", 0)),
            bool(known.get("causal", False)),
        )
    name = given.split("(")[0].strip()
    if name in LIBRARY:
        entry = LIBRARY[name]
        call = given
        if name == given and max_len is not None and entry.parameters.get("max_len", max_len) < max_len:
            call = f"{name}(max_len={max_len})"
        return Source(program(call), given, given, tuple(entry.vocab), entry.max_len, entry.causal)
    made = _parsed(given)
    return Source(made, given, made.name if made.name != made.default_name else "program")


def _parsed(given: str) -> SOp:
    """The text as a program. Who gave one word most likely meant a program of the library."""
    try:
        return parse(given)
    except RaspSyntaxError as error:
        word = re.match(r"[A-Za-z_]\w*", given)
        if "\n" in given or word is None or not error.what.startswith(f"'{word[0]}' is not"):
            raise
        near = get_close_matches(word[0], LIBRARY, 1)
        raise RaspSyntaxError(
            f"'{word[0]}' is neither a program of the library nor an operation",
            error.line,
            error.column,
            error.length,
            f"did you mean '{near[0]}'?" if near else f"the library has {', '.join(LIBRARY)}",
        ) from None


def read_domain(source: Source, vocab: str, max_len: int | None, causal: bool | None, where: str) -> Domain:
    """What was asked for; else what is known of the program (the library suggests a domain for each of its own)."""
    values = read_vocab(vocab, where) if vocab.strip() else source.vocab
    if not values:
        raise CallError("the vocabulary is missing", where, "give vocab=a,b,c or vocab=1,2,3")
    return Domain(tuple(values), max_len or source.max_len or 5, source.causal if causal is None else causal)


def read_vocab(text: str, where: str) -> tuple[Value, ...]:
    """`1,2,3`, `a,b,c` or a JSON list. Each item is read as JSON where it is some, else it is a word."""
    text = text.strip()
    if text.startswith("["):
        items = _json(text, where, 'write vocab=[1,2,3] or vocab=["a","b"]')
        if not isinstance(items, list):
            raise CallError(f"'{text}' is not a list", where, "write vocab=a,b,c")
    else:
        items = [_item(part.strip()) for part in text.split(",") if part.strip()]
    for item in items:
        if not isinstance(item, str | int | float | bool):
            raise CallError(f"'{item}' cannot be a token", where, "tokens are numbers, words, true and false")
    if len(set(items)) != len(items):
        twice = next(v for i, v in enumerate(items) if v in items[:i])
        raise CallError(
            f"the vocabulary says {twice!r} twice", where, "list every value once (1, 1.0 and true are one)"
        )
    if len(items) > MOST_VALUES:
        raise CallError(f"the vocabulary has {len(items):,} values", where, f"give at most {MOST_VALUES:,}")
    return tuple(items)


def read_inputs(given: str, where: str) -> list[list[Value]]:
    """`[[3,1,2],[1]]`, or one input `[3,1,2]`, or the words `3 1 2`."""
    given = given.strip()
    if given.startswith("["):
        inputs = _json(given, where, "write inputs='[[3,1,2]]'")
        if inputs and not any(isinstance(row, list) for row in inputs):
            inputs = [inputs]
    else:
        inputs = [[_item(word) for word in given.replace(",", " ").split()]]
    if not inputs or not all(isinstance(row, list) and row for row in inputs):
        raise CallError("an input is empty", where, "write inputs='[[3,1,2]]'")
    for row in inputs:
        if len(row) > LONGEST:
            raise CallError(f"an input has {len(row):,} tokens", where, f"give at most {LONGEST:,}")
        for item in row:
            if not isinstance(item, str | int | float | bool):
                raise CallError(f"'{item}' cannot be a token", where, "tokens are numbers, words, true and false")
    return [list(row) for row in inputs]


def check_inputs(inputs: Sequence[Sequence[Value]], vocab: Sequence[Value], max_len: int, where: str) -> None:
    """CallError when a token is unknown or an input too long."""
    known = set(vocab)
    for row in inputs:
        if len(row) > max_len:
            raise CallError(f"{list(row)} has {len(row)} tokens", where, f"give at most {max_len}")
        for item in row:
            if item not in known:
                shown = ", ".join(map(str, list(vocab)[:20]))
                raise CallError(f"{item!r} is not in the vocabulary", where, f"use {shown}")


def domain_of(labels: Labels, n_ctx: int, causal: bool) -> Domain:
    """The inputs a compiled model takes."""
    special = {labels.bos, labels.pad}
    vocab = tuple(v for i, v in enumerate(labels.tokens) if i not in special)
    return Domain(vocab, labels.max_len or n_ctx - 1, causal)


def _item(word: str) -> Value:
    try:
        value = json.loads(word)
    except (ValueError, RecursionError):  # not JSON; a number of more digits than Python reads; brackets without end
        return word
    return value if isinstance(value, str | int | float | bool) else word


def _json(text: str, where: str, remedy: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        shown = text if len(text) <= 80 else text[:77] + "..."
        why = error.msg.lower() if isinstance(error, json.JSONDecodeError) else "it is too deep or a number too long"
        raise CallError(f"'{shown}' cannot be read ({why})", where, remedy) from None
