"""One's own prompts, from CSV, JSONL or JSON. A bad row is set aside with its line and reason; good ones stay."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sessions.artifacts import PromptRow
from sessions.errors import CallError, nearest

# A column's names: the first is ours, the others are understood too.
COLUMNS: dict[str, tuple[str, ...]] = {
    "clean": ("clean", "prompt"),
    "corrupt": ("corrupt",),
    "answers": ("answer", "answers"),
    "foils": ("foil", "foils"),
    "group": ("group",),
}
REQUIRED = ("clean", "answers")
HELP = (
    "columns: clean (or prompt), answer(s), and where wanted corrupt, foil(s), group; several answers are separated "
    "by | in CSV and a list in JSON; JSON is a list of objects, JSONL one object a line"
)
_SUFFIXES = (".csv", ".jsonl", ".json")


class Opened(NamedTuple):
    rows: list[PromptRow]
    rejected: list[str]  # one sentence per bad row


def open_prompts(path: str | Path) -> Opened:
    """The file's prompts. Nothing is stripped: a leading space in an answer belongs to the token.

    CallError: no such file, a folder, an unknown ending, not UTF-8, empty, not readable as its format at all, a
    required column missing, or no good row in it.
    """
    file = Path(path).expanduser()
    records = _records(file, _text(file))
    rows: list[PromptRow] = []
    rejected: list[str] = []
    named: set[str] | None = None
    for line, record in records:
        if isinstance(record, str):
            rejected.append(f"{line}: {record}")
            continue
        if named is None:
            named = set(record)
            _require(file, named)
        try:
            rows.append(_row(record))
        except CallError as error:
            rejected.append(f"{line}: {error.what}")
    if not rows:
        first = f" (the first of {len(rejected)} bad ones is {rejected[0]})" if rejected else ""
        raise CallError(f"no usable prompt in the file{first}", str(file), HELP)
    return Opened(rows, rejected)


def _text(file: Path) -> str:
    if file.suffix.lower() not in _SUFFIXES:
        raise CallError(
            f"'{file.name}' ends in none of {', '.join(_SUFFIXES)}", str(file), "the ending names the format"
        )
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        beside = sorted(p.name for p in file.parent.glob("*") if p.suffix.lower() in _SUFFIXES) if file.parent else []
        raise CallError("there is no such file", str(file), nearest(file.name, beside)) from None
    except IsADirectoryError:
        raise CallError("this is a folder", str(file), "name a .csv, .jsonl or .json file in it") from None
    except OSError as error:
        raise CallError(f"the file cannot be read ({error.strerror})", str(file)) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise CallError(
            f"the file is not UTF-8 (byte 0x{raw[error.start]:02x} in line {line})", str(file), "save it as UTF-8"
        ) from None
    if not text.strip():
        raise CallError("the file is empty", str(file), HELP)
    return text


def _records(file: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    """Where each record stands (`line 3`), with its fields, or with why it has none."""
    match file.suffix.lower():
        case ".csv":
            return _csv(file, text)
        case ".jsonl":
            return _jsonl(text)
        case _:
            return _json(file, text)


def _csv(file: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader)]
    except csv.Error as error:
        raise CallError(f"line 1 cannot be read as CSV ({error})", str(file), HELP) from None
    _require(file, set(header))
    while True:
        line = f"line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, f"it cannot be read as CSV ({error})"
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            yield line, f"it has {len(cells)} fields and the header names {len(header)} (quote text that holds commas)"
            continue
        record: dict[str, Any] = dict(zip(header, cells))
        for name in (*COLUMNS["answers"], *COLUMNS["foils"]):
            if name in record:
                record[name] = [part for part in record[name].split("|") if part]
        yield line, record


def _jsonl(text: str) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            yield f"line {number}", f"it is not JSON ({reason})"
            continue
        yield f"line {number}", _object(record)


def _json(file: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any] | str]]:
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise CallError(
            f"line {error.lineno} is not JSON ({error.msg})", str(file), "one object a line is JSONL: name it .jsonl"
        ) from None
    except RecursionError:
        raise CallError("the JSON is nested too deeply", str(file), HELP) from None
    if not isinstance(records, list):
        raise CallError(f"the file holds {_called(records)}, not a list of objects", str(file), HELP)
    for number, record in enumerate(records, 1):
        yield f"object {number}", _object(record)


def _object(record: Any) -> Mapping[str, Any] | str:
    if not isinstance(record, dict):
        return f"it is {_called(record)}, not an object"
    return {str(name).strip().lower(): value for name, value in record.items()}


def _require(file: Path, named: set[str]) -> None:
    for column in REQUIRED:
        if not named & set(COLUMNS[column]):
            found = ", ".join(f"'{name}'" for name in sorted(named))
            close = nearest(COLUMNS[column][0], named)
            hint = f"; {close.replace('did you mean', 'is it').rstrip('?')}?" if close.startswith("did") else ""
            raise CallError(
                f"no column '{COLUMNS[column][0]}'; found {found}{hint}", str(file), f"name one '{COLUMNS[column][0]}'"
            )


def _row(record: Mapping[str, Any]) -> PromptRow:
    clean = _string(record, "clean")
    if not clean.strip():
        raise CallError("the prompt is empty")
    answers = _strings(record, "answers")
    if not answers:
        raise CallError("it has no answer")
    foils = _strings(record, "foils")
    if same := set(answers) & set(foils):
        raise CallError(f"'{min(same)}' is both an answer and a foil")
    return PromptRow(
        clean=clean,
        corrupt=_string(record, "corrupt"),
        answers=answers,
        foils=foils,
        group=_string(record, "group"),
    )


def _value(record: Mapping[str, Any], column: str) -> Any:
    return next((record[name] for name in COLUMNS[column] if record.get(name) is not None), None)


def _string(record: Mapping[str, Any], column: str) -> str:
    value = _value(record, column)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    raise CallError(f"'{column}' is {_called(value)}, not text")


def _strings(record: Mapping[str, Any], column: str) -> tuple[str, ...]:
    value = _value(record, column)
    if value is None or value == "":
        return ()
    parts = value if isinstance(value, list) else [value]
    for part in parts:
        if not isinstance(part, str) or not part:
            raise CallError(f"'{COLUMNS[column][0]}' holds {_called(part)}, not text")
    return tuple(parts)


def _called(value: Any) -> str:
    if value == "":
        return "empty text"
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
