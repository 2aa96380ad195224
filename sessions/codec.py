"""Artifacts to bytes and back: a JSON document, beside it the arrays as safetensors. One codec for file and wire.

JSON knows no NaN and no infinity: such a number outside an array is written `{"$float": "nan"}`.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from sessions.artifacts import AnyArtifact, Array, Model
from sessions.errors import IwbError


class Encoded(NamedTuple):
    """`document`: JSON in which an array is `{"$array": "a0"}`; `arrays`: safetensors bytes, empty when none."""

    document: bytes
    arrays: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.document + b"\0" + self.arrays).hexdigest()


def encode(artifact: AnyArtifact) -> Encoded:
    """The artifact as bytes. The same artifact gives the same bytes, so their hash is its identity.

    Raises TypeError for what an artifact cannot hold: objects, arrays of text or of objects, arrays among the facts.
    """
    arrays: dict[str, Array] = {}
    if _holds_array(artifact.facts) or (isinstance(artifact, Model) and _holds_array(artifact.config)):
        raise TypeError("an array among the facts cannot be stored in an artifact")

    def set_aside(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            name = f"a{len(arrays)}"
            if value.dtype.kind not in "biufc":
                raise TypeError(f"an array of {value.dtype} cannot be stored in an artifact")
            arrays[name] = np.asarray(value, order="C")  # ascontiguousarray would give a scalar an axis
            return {"$array": name}
        if isinstance(value, np.generic):  # a numpy number that strayed into facts or a table
            return value.item()
        raise TypeError(f"{type(value).__name__} cannot be stored in an artifact")

    document = msgspec.json.encode(artifact, enc_hook=set_aside, order="sorted")
    if b"null" in document:  # perhaps a number that JSON does not know
        arrays.clear()
        spelt = _spelt(msgspec.to_builtins(artifact, enc_hook=set_aside, order="sorted"))
        document = msgspec.json.encode(spelt, order="sorted")
    try:
        return Encoded(document, save_arrays(arrays) if arrays else b"")
    except SafetensorError as error:
        raise TypeError(f"an array cannot be stored in an artifact ({error})") from error


def _holds_array(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_array(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_array(item) for item in value)
    return isinstance(value, np.ndarray)


def _spelt(value: Any) -> Any:
    """The value with numbers that JSON does not know spelt out."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if isinstance(value, dict):
        return {name: _spelt(item) for name, item in value.items()}
    return [_spelt(item) for item in value] if isinstance(value, list | tuple) else value


def _unspelt(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"$float"}:
            return float(value["$float"])
        return {name: _unspelt(item) for name, item in value.items()}
    return [_unspelt(item) for item in value] if isinstance(value, list) else value


def decode(encoded: Encoded) -> AnyArtifact:
    """The artifact that `encode` saw. Raises IwbError when the bytes are not such a pair."""
    try:
        arrays = load_arrays(encoded.arrays) if encoded.arrays else {}

        def fetch(kind: type, value: Any) -> Any:
            if kind is np.ndarray or getattr(kind, "__origin__", None) is np.ndarray:
                return arrays[value["$array"]]
            raise TypeError(f"unexpected {kind}")

        artifact: AnyArtifact
        if b'"$float"' in encoded.document:
            values = _unspelt(msgspec.json.decode(encoded.document))
            artifact = msgspec.convert(values, AnyArtifact, dec_hook=fetch)
        else:
            artifact = msgspec.json.decode(encoded.document, type=AnyArtifact, dec_hook=fetch)
        return artifact
    except (msgspec.MsgspecError, SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise IwbError(
            f"a stored artifact cannot be read ({error})", remedy="the file is damaged or from a newer iwb"
        ) from error


def plain(artifact: AnyArtifact) -> dict[str, Any]:
    """The artifact as plain JSON values, arrays as nested lists with NaN as null: what `show --json` prints."""

    def listed(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                boxed = value.astype(object)
                boxed[~np.isfinite(value)] = None
                return boxed.tolist()
            return value.tolist()
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"{type(value).__name__} cannot be stored in an artifact")

    result: dict[str, Any] = msgspec.to_builtins(artifact, enc_hook=listed)
    return result
