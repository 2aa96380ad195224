"""Programs given as parameters: `@ID` of an artifact of the session, or `@FILE`, whose text the session then holds."""

from __future__ import annotations

import difflib
from pathlib import Path

from sessions.artifacts import Program
from sessions.errors import CallError
from sessions.file import SessionFile

LARGEST = 2**20  # bytes of a program's text


def program_reference(session: SessionFile, language: str, value: str, place: str) -> int | None:
    """The program behind `@ID` or `@last`; None when the value names a file. CallError: no such program."""
    word = value.removeprefix("@")
    if word == "last":
        for stored in reversed(session.artifacts()):
            if stored.kind == "program" and _language(session, stored.id) == language:
                return stored.id
        raise CallError(f"there is no program in {language} in the session yet", place, "write one, or name a file")
    if not word.isdecimal():
        return None
    stored = session.stored(int(word))
    if stored.kind != "program":
        raise CallError(f"@{word} is a {stored.kind}, not a program", place, f"give the @ID of a program in {language}")
    if (found := _language(session, stored.id)) != language:
        raise CallError(f"@{word} is a program in {found}, not in {language}", place, "choose another program")
    return stored.id


def _language(session: SessionFile, number: int) -> str:
    program = session.artifact(number)
    return program.language if isinstance(program, Program) else ""


def file_text(folder: str, name: str, place: str) -> str:
    """The text of a file, seen from the client's folder. CallError, in one sentence, when it is not there, cannot be
    read, is longer than a program can be, or is no text."""
    if not name:
        raise CallError("'@' alone names nothing", place, "write @FILE, @ID or @last")
    try:
        path = Path(folder, Path(name).expanduser())
        if path.is_dir():
            raise CallError(f"{name} is a folder", place, "name a file in it")
        if path.exists() and not path.is_file():
            raise CallError(f"{name} is not a regular file", place, "name a text file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise CallError(f"there is no file '{name}'", place, _beside(path)) from None
    except (OSError, RuntimeError, ValueError) as error:  # no name a file can have, or not ours to read
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CallError(f"{name[:200]} cannot be read ({reason})", place, "choose a file that you may read") from None
    if len(data) > LARGEST:
        raise CallError(f"{name} is larger than the {LARGEST // 2**20} MiB that a program may have", place)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CallError(f"{name} is not text in UTF-8", place, "name a text file") from None
    if "\0" in text:
        raise CallError(f"{name} is not text: it has zero bytes", place, "name a text file")
    if text.lstrip().startswith("@"):
        raise CallError(f"{name} begins with '@', as no program does", place, "name a file with a program in it")
    if not text.strip():
        raise CallError(f"{name} is empty", place, "name a file with a program in it")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _beside(path: Path) -> str:
    """The nearest name in the folder the person meant."""
    try:
        close = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1, cutoff=0.5)
    except OSError:
        return "check the path"
    return f"did you mean '@{close[0]}'?" if close else "check the path"
