"""The whole session as one JSON document."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from sessions.export.account import Account, ArtifactAccount, StepAccount

VERSION = 1
LARGEST_ARRAY = 100_000  # numbers; a larger array is given by its shape, with "omitted": true


def document(whole: Account) -> str:
    """`{"format": "iwb", "version": 1, "name", "steps": [...], "notes": [...]}`.

    Steps carry their artifacts and notes. Arrays are nested lists, NaN and infinities null; an array of more than
    LARGEST_ARRAY numbers is `{"shape": [...], "dtype": "float32", "omitted": true}`.
    """
    value = {
        "format": "iwb",
        "version": VERSION,
        "name": whole.name,
        "steps": [_step(entry) for entry in whole.steps],
        "notes": whole.notes,
    }
    return msgspec.json.encode(value, enc_hook=_plain).decode() + "\n"


def _step(entry: StepAccount) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(entry.step)
    return {**fields, "artifacts": [_artifact(a) for a in entry.artifacts], "notes": entry.notes}


def _artifact(entry: ArtifactAccount) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": entry.stored.id, "kind": entry.stored.kind, "sha256": entry.stored.sha256}
    if entry.artifact is None:
        return {**fields, "title": entry.stored.title, "problem": entry.problem, "notes": entry.notes}
    return {**fields, "artifact": entry.artifact, "notes": entry.notes}


def _plain(value: Any) -> Any:
    match value:
        case np.ndarray() if value.size > LARGEST_ARRAY:
            return {"shape": list(value.shape), "dtype": str(value.dtype), "omitted": True}
        case np.ndarray() | np.generic():
            return value.tolist()  # msgspec writes what is not finite as null
        case _:
            raise TypeError(f"{type(value).__name__} cannot be written as JSON")
