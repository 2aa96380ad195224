"""From what a person asked for to a step that can run: names checked, references resolved, the work identified."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from engine.operations import Operation, Params, describe, parse
from engine.server.text_files import file_text, program_reference
from sessions.artifacts import Model
from sessions.codec import encode
from sessions.errors import CallError
from sessions.file import SessionFile
from sessions.parameters import FieldInfo
from sessions.steps import identity_key

WHOLE_FILE = 64 * 2**20  # bytes; larger files are identified by size and time of change
CONFIGURED = (".safetensors", ".pt", ".pth")  # weights files, which may have their configuration beside them

LARGEST_SEED = 2**63 - 1  # of what the file, numpy and torch all take


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """A request that fits its operation. `parameters` are complete: defaults too, so that they may change later."""

    operation: Operation
    params: Params
    parameters: dict[str, Any]
    given: tuple[str, ...]
    inputs: dict[str, int]
    seed: int
    key: str
    executor: str = ""  # where its units run, which changes no result; empty: as the engine does it


class ModelNotLoadedError(Exception):
    """Parameter `field` names a model by its source; it has to be loaded (as a step of its own) first.

    Where the parameter is a list, `among` is the whole of it and `index` the model's place there.
    """

    def __init__(self, field: str, source: str, among: list[str] | None = None, index: int = 0) -> None:
        self.field, self.source = field, source
        self.among, self.index = among, index

    def loaded(self, values: dict[str, Any], number: int) -> dict[str, Any]:
        """The values with `@number` in the place of the source."""
        if self.among is None:
            return {**values, self.field: f"@{number}"}
        filled = [f"@{number}" if i == self.index else text for i, text in enumerate(self.among)]
        return {**values, self.field: filled}


def prepare(
    session: SessionFile, operation: Operation, values: dict[str, Any], *, seed: int = 0, folder: str = ""
) -> Submission:
    """The submission for these values. CallError: what is wrong with them; ModelNotLoadedError: what to load first."""
    if not 0 <= seed <= LARGEST_SEED:
        raise CallError(f"seed {seed} is out of range", operation.name, f"give a whole number from 0 to {LARGEST_SEED}")
    params = parse(operation, values)
    parameters: dict[str, Any] = msgspec.to_builtins(params)
    inputs: dict[str, int] = {}
    hashes: dict[str, str | list[str]] = {}
    for field in describe(operation).fields:
        value = parameters[field.name]
        if field.type == "artifact" and value is not None:
            number = _resolve(session, operation, field, str(value))
            inputs[field.name] = number
            parameters[field.name] = f"@{number}"
            hashes[field.name] = _content(session, number)
        elif field.type == "artifacts" and value is not None:
            numbers = _resolve_all(session, operation, field, list(value))
            inputs |= {f"{field.name}[{i}]": number for i, number in enumerate(numbers)}
            parameters[field.name] = [f"@{number}" for number in numbers]
            hashes[field.name] = [_content(session, number) for number in numbers]
        elif field.text and value is not None and str(value).startswith("@"):
            place = f"{operation.name}, parameter '{field.name}'"
            program = program_reference(session, field.text, str(value), place)
            if program is None:
                parameters[field.name] = file_text(folder, str(value)[1:], place)
            else:
                inputs[field.name] = program
                parameters[field.name] = f"@{program}"
                hashes[field.name] = _content(session, program)
        elif field.name in operation.outputs and value:
            parameters[field.name] = _written(folder, str(value), operation.name)
        elif field.name in operation.files and value:
            path = _there(folder, str(value))
            if path is not None:  # else a name of another sort (zoo:tpp), or the operation will say that it is missing
                parameters[field.name] = str(path)
                hashes[field.name] = fingerprint(path)
    return Submission(
        operation=operation,
        params=msgspec.convert(parameters, operation.params),
        parameters=parameters,
        given=tuple(name for name in parameters if name in values),
        inputs=inputs,
        seed=seed,
        key=identity_key(operation.name, operation.version, parameters, seed, hashes),
    )


def _content(session: SessionFile, number: int) -> str:
    """What tells an input from another. Of a model, the same loaded or made twice is one, however much memory was free
    and whatever else was written on its card."""
    stored = session.stored(number)
    if stored.kind != "model":
        return stored.sha256
    model = session.artifact(number)
    assert isinstance(model, Model)
    same = msgspec.structs.replace(model, title="", summary="", facts={}, bytes_needed=0, bytes_free=0)
    return encode(same).sha256


def _resolve(session: SessionFile, operation: Operation, field: FieldInfo, value: str) -> int:
    """The artifact id behind `@ID`, `ID` or `@last`."""
    place = f"{operation.name}, parameter '{field.name}'"
    word = value.removeprefix("@")
    if word == "last" and value.startswith("@"):
        fitting = [a.id for a in session.artifacts() if a.kind == field.kind]
        if not fitting:
            raise CallError(f"there is no {field.kind} in the session yet", place, f"make a {field.kind} first")
        return max(fitting)
    if word.isdecimal():
        stored = session.stored(int(word))
        if stored.kind != field.kind:
            others = [f"@{a.id}" for a in session.artifacts() if a.kind == field.kind]
            instead = f"use {' or '.join(others[-3:])}" if others else f"make a {field.kind} first"
            raise CallError(f"@{word} is a {stored.kind}, not a {field.kind}", place, instead)
        return stored.id
    if field.kind == "model" and not value.startswith("@"):
        raise ModelNotLoadedError(field.name, value)
    raise CallError(f"'{value}' is not a reference", place, "write @ID or @last")


def _resolve_all(session: SessionFile, operation: Operation, field: FieldInfo, values: list[str]) -> list[int]:
    """The artifact ids behind a list of references."""
    numbers = []
    for index, value in enumerate(values):
        try:
            numbers.append(_resolve(session, operation, field, value))
        except ModelNotLoadedError as missing:
            raise ModelNotLoadedError(field.name, missing.source, values, index) from None
    return numbers


def _there(folder: str, value: str) -> Path | None:
    """The file or folder of that name, seen from the client's folder, if there is one."""
    try:
        path = Path(folder, Path(value).expanduser())
        return path.resolve() if path.exists() else None
    except (OSError, RuntimeError, ValueError):  # no name a file can have: too long, another's home, a zero byte
        return None


def _written(folder: str, value: str, where: str) -> str:
    """The whole name of what is to be written."""
    try:
        return str(Path(folder, Path(value).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise CallError(f"'{value[:200]}' is no name that a file can have ({error})", where) from None


def fingerprint(path: Path) -> str:
    """A hash that changes when the file's content changes, or any file in the folder, or its name there.

    The configuration beside a weights file (the same name, ending in .json) counts with it.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        parts = {str(p.relative_to(path)): p for p in sorted(path.rglob("*")) if p.is_file()}
    else:
        beside = path.with_suffix(".json")
        parts = {"": path} | ({".json": beside} if path.suffix in CONFIGURED and beside.is_file() else {})
    try:
        for name, file in parts.items():
            status = file.stat()
            if status.st_size <= WHOLE_FILE:
                digest.update(name.encode(errors="surrogateescape") + hashlib.sha256(file.read_bytes()).digest())
            else:
                digest.update(f"{name} {status.st_size} {status.st_mtime_ns}".encode(errors="surrogateescape"))
    except OSError as error:
        raise CallError(f"it cannot be read ({error.strerror})", str(path), "choose a file that you may read") from None
    return digest.hexdigest()
