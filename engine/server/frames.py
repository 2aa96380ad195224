"""Frames: a 4-byte big-endian length, then a msgpack document. Anything else is a FrameError with the reason."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import msgspec

from engine.server.protocol import MAX_FRAME, AnyMessage, AnyRequest

_LENGTH = struct.Struct(">I")
_requests: msgspec.msgpack.Decoder[AnyRequest] = msgspec.msgpack.Decoder(AnyRequest)
_messages: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)
_encoder = msgspec.msgpack.Encoder()


class FrameError(Exception):
    """What came in is no frame of this protocol. The connection it came from is closed."""


def frame(message: Any) -> bytes:
    """The message as bytes on the wire. FrameError when it is too large to send."""
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"a message of {len(body):,} bytes is larger than {MAX_FRAME:,}")
    return _LENGTH.pack(len(body)) + body


async def _body(reader: asyncio.StreamReader, limit: int) -> bytes | None:
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > limit:
            raise FrameError(f"a frame of {length:,} bytes is larger than {limit:,}")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def read_request(reader: asyncio.StreamReader, limit: int = MAX_FRAME) -> AnyRequest | None:
    """The next request, or None when the other side is gone. FrameError for anything else."""
    body = await _body(reader, limit)
    try:
        return None if body is None else _requests.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"not a request ({error})") from None


async def read_message(reader: asyncio.StreamReader) -> AnyMessage | None:
    """The next message of the engine, or None when it is gone. FrameError for anything else."""
    body = await _body(reader, MAX_FRAME)
    try:
        return None if body is None else _messages.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"not a message ({error})") from None
