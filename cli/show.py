"""`iwb show`: the timeline, one step, or one artifact whole. Reads the file; needs no engine."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from sessions.artifacts import AnyArtifact
from sessions.codec import encode, plain
from sessions.errors import CallError, IwbError
from sessions.file import SessionFile
from sessions.render import render
from sessions.steps import Step, Stored

LISTED_NUMBERS = 100_000  # an artifact with more numbers is written to an .npz beside the session file


def answer(options: argparse.Namespace) -> int:
    with SessionFile.open(Path(options.file), readonly=True) as session:
        word = str(options.id).lower()
        if not word:
            _timeline(session, as_json=options.json)
        elif found := re.fullmatch(r"(?:step|s)\s?(\d+)", word):
            _step(session, session.step(int(found.group(1))), as_json=options.json)
        elif found := re.fullmatch(r"@?(\d+)", word):
            _artifact(session, int(found.group(1)), as_json=options.json)
        else:
            raise CallError(f"'{options.id}' is neither an artifact nor a step", remedy="write 5 or @5, or step3")
    return 0


def _print(document: Any) -> None:
    print(msgspec.json.encode(document).decode())


def _listed(stored: Stored) -> dict[str, Any]:
    return {"id": stored.id, "kind": stored.kind, "title": stored.title, "summary": stored.summary}


def described(session: SessionFile, step: Step) -> dict[str, Any]:
    """A step as plain values, with its artifacts listed."""
    document: dict[str, Any] = msgspec.to_builtins(step)
    document["command"] = step.command
    document["artifacts"] = [_listed(a) for a in session.artifacts(step.id)]
    document["notes"] = [n.text for n in session.notes() if n.step == step.id]
    return document


def _timeline(session: SessionFile, *, as_json: bool) -> None:
    steps = session.steps()
    if as_json:
        notes = [msgspec.to_builtins(note) for note in session.notes()]
        _print({"file": str(session.path), "steps": [described(session, s) for s in steps], "notes": notes})
        return
    if not steps:
        print(f"{session.path.name}: no steps yet; try: iwb run {session.path.name} models.load source=zoo:tpp")
    for step in steps:
        started = datetime.fromtimestamp(step.created).strftime("%Y-%m-%d %H:%M")
        part = f" {step.done}/{step.total}" if step.status != "done" and step.total else ""
        print(f"step {step.id:<3} {started}  {step.status}{part:<4}  {step.seconds:7.1f} s  {step.command}")
        if step.error:
            print(f"         {step.error}")
        for stored in session.artifacts(step.id):
            print(
                f"    @{stored.id:<3} {stored.kind:<8} {stored.title}{': ' + stored.summary if stored.summary else ''}"
            )
    for note in session.notes():
        place = f"step {note.step}" if note.step else f"@{note.artifact}" if note.artifact else "the investigation"
        print(f"note on {place}: {note.text}")


def _step(session: SessionFile, step: Step, *, as_json: bool) -> None:
    if as_json:
        _print(described(session, step))
        return
    print(f"step {step.id}: {step.command}")
    print(f"status {step.status}, seed {step.seed}, {step.seconds:.1f} s, version {step.version}, key {step.key[:12]}")
    where = step.environment
    torch = f"torch {where.torch}" if where.torch else "no torch"
    print(f"iwb {where.iwb}, Python {where.python}, {torch}, {where.device} {where.dtype}".strip())
    if step.error:
        print(step.error)
    for stored in session.artifacts(step.id):
        print()
        print(render(session.artifact(stored.id), width=shutil.get_terminal_size((100, 24)).columns))


def _artifact(session: SessionFile, number: int, *, as_json: bool) -> None:
    artifact = session.artifact(number)
    if not as_json:
        print(render(artifact, width=shutil.get_terminal_size((100, 24)).columns))
        return
    stored = session.stored(number)
    arrays = _arrays(artifact)
    if sum(a.size for a in arrays.values()) <= LISTED_NUMBERS:
        _print({"id": number, "step": stored.step, "sha256": stored.sha256, **plain(artifact)})
        return
    name = f"{session.path.stem}-{number}.npz"
    # Somebody else's session may lie where only reading is allowed.
    beside = (session.path.parent if os.access(session.path.parent, os.W_OK) else Path.cwd()) / name
    try:
        np.savez_compressed(beside, allow_pickle=False, **arrays)
    except OSError as error:
        raise IwbError(
            f"the arrays cannot be written ({error.strerror})", str(beside), "run it in a folder you may write in"
        ) from None
    document = msgspec.json.decode(encode(artifact).document)
    _print({"id": number, "step": stored.step, "sha256": stored.sha256, "arrays": str(beside), **document})


def _arrays(artifact: AnyArtifact) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    from safetensors.numpy import load

    raw = encode(artifact).arrays
    return load(raw) if raw else {}
