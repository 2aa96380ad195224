"""Checkpoint values to bytes and back: plain values and numpy arrays in msgpack. Nothing in them can be executed."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

_ARRAY = 1  # msgpack extension code


def _array_out(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode([array.dtype.str, array.shape, array.tobytes()]))
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be kept in a checkpoint")


def _array_in(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise ValueError(f"unknown extension {code}")
    dtype, shape, raw = msgspec.msgpack.decode(data, type=tuple[str, list[int], bytes])
    kind = np.dtype(dtype)
    if kind.hasobject:
        raise ValueError("an array of objects")
    return np.frombuffer(raw, dtype=kind).reshape(shape).copy()


def pack(value: Any) -> bytes:
    """The value as bytes. TypeError for anything that is neither plain nor an array."""
    return msgspec.msgpack.encode(value, enc_hook=_array_out)


def unpack(data: bytes) -> Any:
    """What `pack` saw (tuples come back as lists). ValueError or msgspec.DecodeError for other bytes."""
    return msgspec.msgpack.decode(data, ext_hook=_array_in)
