"""Artifacts to bytes and back: a JSON document, beside it the arrays as safetensors. One codec for file and wire."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from sessions.artifacts import AnyArtifact, Array
from sessions.errors import IwbError


class Encoded(NamedTuple):
    """`document`: JSON in which an array is `{"$array": "a0"}`; `arrays`: safetensors bytes, empty when none."""

    document: bytes
    arrays: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.document + b"\0" + self.arrays).hexdigest()


def encode(artifact: AnyArtifact) -> Encoded:
    """The artifact as bytes. The same artifact gives the same bytes, so their hash is its identity."""
    arrays: dict[str, Array] = {}

    def set_aside(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            name = f"a{len(arrays)}"
            arrays[name] = np.ascontiguousarray(value)
            return {"$array": name}
        if isinstance(value, np.generic):  # a numpy number that strayed into facts or a table
            return value.item()
        raise TypeError(f"{type(value).__name__} cannot be stored in an artifact")

    document = msgspec.json.encode(artifact, enc_hook=set_aside, order="sorted")
    return Encoded(document, save_arrays(arrays) if arrays else b"")


def decode(encoded: Encoded) -> AnyArtifact:
    """The artifact that `encode` saw. Raises IwbError when the bytes are not such a pair."""
    try:
        arrays = load_arrays(encoded.arrays) if encoded.arrays else {}

        def fetch(kind: type, value: Any) -> Any:
            if kind is np.ndarray or getattr(kind, "__origin__", None) is np.ndarray:
                return arrays[value["$array"]]
            raise TypeError(f"unexpected {kind}")

        artifact: AnyArtifact = msgspec.json.decode(encoded.document, type=AnyArtifact, dec_hook=fetch)
        return artifact
    except (msgspec.MsgspecError, SafetensorError, KeyError, TypeError) as error:
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
