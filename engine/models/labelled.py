"""A compiled model as one piece of bytes: safetensors whose metadata say what the numbers are.

The metadata hold three JSON texts: `config` (engine.models.protocols.TransformerConfig), `labels`
(engine.models.labels.Labels) and `tokenizer`. The same model gives the same bytes, so their hash is its identity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from engine.models.labels import FORMAT, Labels
from engine.models.protocols import TransformerConfig
from engine.models.values import ValueTokenizer
from sessions.artifacts import Model, WeightProcessing
from sessions.errors import CallError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from engine.models.transformer import Transformer

_DTYPES = {"f": {2: "F16", 4: "F32", 8: "F64"}}
_TOKENIZER = {"type": "values"}  # it follows from the labels
LARGEST_HEADER = 100 * 2**20  # what the safetensors library reads


class Labelled(NamedTuple):
    """What the bytes say before any weight is read."""

    config: TransformerConfig
    labels: Labels
    parameters: int


State = dict[str, "NDArray[Any]"]


class Opened(NamedTuple):
    """A compiled model in plain arrays, named as HookedTransformer's. `ignored`: what else lay beside them."""

    config: TransformerConfig
    state: State
    labels: Labels
    ignored: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        return encode_model(self.config, self.state, self.labels)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_bytes()).hexdigest()


def open_model(data: bytes, where: str = "") -> Opened:
    """The arrays of such bytes. CallError when they are others, or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    config, labels, _ = read_labelled(data, where)
    try:
        return Opened(config, load(data), labels)
    except (SafetensorError, ValueError, TypeError) as error:
        raise CallError(f"the weights are damaged ({error})", where) from None


def encode_model(config: TransformerConfig, state: Mapping[str, NDArray[np.floating[Any]]], labels: Labels) -> bytes:
    """The model as bytes. `state` is named as HookedTransformer's; arrays are kept in their own number format.

    CallError when the arrays do not fit the configuration, or the labels do not fit either.
    """
    from engine.models.weights import check_names_and_shapes

    check_names_and_shapes(config, {name: array.shape for name, array in state.items()})
    check_labels(config, labels)
    metadata = {
        "config": msgspec.json.encode(config, order="sorted").decode(),
        "labels": msgspec.json.encode(labels, order="sorted").decode(),
        "tokenizer": msgspec.json.encode(_TOKENIZER).decode(),
    }
    return safetensors_bytes(metadata, state)


def safetensors_bytes(metadata: Mapping[str, str], state: Mapping[str, NDArray[np.floating[Any]]]) -> bytes:
    """Arrays and texts as safetensors. Written here and not by the library, which puts metadata in an order of the
    moment: the same model gives the same bytes."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts: list[bytes] = []
    at = 0
    for name in sorted(state):
        array = np.ascontiguousarray(state[name], dtype=state[name].dtype.newbyteorder("<"))
        data = array.tobytes()
        kind = _DTYPES[array.dtype.kind][array.dtype.itemsize]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
        parts.append(data)
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, *parts))


def read_metadata(data: bytes) -> tuple[dict[str, str], int]:
    """The texts of such bytes, and how many numbers they hold. ValueError (or msgspec's) when they are others."""
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= min(len(data), LARGEST_HEADER):
        raise ValueError("no safetensors header")
    header = msgspec.json.decode(data[8 : 8 + length], type=dict[str, Any])
    metadata = header.pop("__metadata__", {})
    return metadata, sum(int(np.prod(entry["shape"])) for entry in header.values())


def read_labelled(data: bytes, where: str = "") -> Labelled:
    """Configuration and labels of such bytes. CallError when they are others."""
    try:
        metadata, parameters = read_metadata(data)
        config = msgspec.json.decode(metadata["config"], type=TransformerConfig)
        labels = msgspec.json.decode(metadata["labels"], type=Labels)
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise CallError(f"these are not the weights of a compiled model ({error})", where) from None
    labels = as_values(labels)
    check_labels(config, labels, where)
    return Labelled(config, labels, parameters)


def decode_model(
    data: bytes,
    handle: Model | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Transformer:
    """The model that `encode_model` wrote, ready to run (in float32, unless `dtype` says otherwise).

    Without a handle it gets one whose source is `session:SHA256`. CallError for bytes that are something else.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from engine.models.transformer import Transformer

    where = "" if handle is None else handle.source
    config, labels, _ = read_labelled(data, where)
    try:
        state = load(data)
    except (SafetensorError, ValueError) as error:
        raise CallError(f"the weights are damaged ({error})", where) from None
    dtype = dtype or torch.float32
    if handle is None:
        handle = handle_of(data, device=str(device), dtype=str(dtype).removeprefix("torch."))
    tokenizer = ValueTokenizer(labels, handle.title or "compiled model", causal=config.attention == "causal")
    return Transformer(config, state, tokenizer, handle, device=device, dtype=dtype, labels=labels)


def handle_of(
    data: bytes,
    *,
    title: str = "compiled model",
    source: str = "",
    device: str = "cpu",
    dtype: str = "float32",
    facts: dict[str, Any] | None = None,
) -> Model:
    """The handle of such bytes, with a summary of shape and vocabularies. `source`: `session:` and their hash if empty.

    Facts say tokens, outputs and the longest input in plain values.
    """
    from engine.hardware import BYTES, free_memory
    from engine.models.loading import make_handle

    config, labels, parameters = read_labelled(data, source)
    sha256 = hashlib.sha256(data).hexdigest()
    handle = make_handle(
        title=title,
        source=source or f"session:{sha256}",
        config=config,
        parameters=parameters,
        sha256=sha256,
        device=device,
        dtype=dtype,
        processing=WeightProcessing(),
        bytes_needed=parameters * BYTES[dtype],
        bytes_free=free_memory(device),
    )
    return msgspec.structs.replace(handle, facts=label_facts(config, labels) | (facts or {}))


def label_facts(config: TransformerConfig, labels: Labels) -> dict[str, Any]:
    """What a compiled model's card tells of its labels, in plain values."""
    special = {labels.bos, labels.pad}
    return {
        "vocab": [msgspec.to_builtins(v) for i, v in enumerate(labels.tokens) if i not in special],
        "outputs": "a number" if labels.outputs is None else [msgspec.to_builtins(v) for v in labels.outputs],
        "max_len": longest(config, labels),
        "causal": config.attention == "causal",
    }


def longest(config: TransformerConfig, labels: Labels) -> int:
    """Tokens of the longest input, the beginning token not counted."""
    return labels.max_len or config.n_ctx - 1


def check_labels(config: TransformerConfig, labels: Labels, where: str = "") -> None:
    """CallError, in one sentence, when the labels cannot be those of a model of this shape."""
    if labels.format != FORMAT:
        raise CallError(f"labels of format '{labels.format}' cannot be read", where, f"write them as '{FORMAT}'")
    tokens, outputs = len(labels.tokens), 1 if labels.outputs is None else len(labels.outputs)
    for found, expected, what in (
        (tokens, config.d_vocab, "tokens"),
        (outputs, config.logits, "outputs"),
        (len(labels.residual) or config.d_model, config.d_model, "residual directions"),
    ):
        if found != expected:
            problem = f"the labels name {found} {what}, and the weights have {expected}"
            raise CallError(problem, where, "make them agree")
    for name, place in (("bos", labels.bos), ("pad", labels.pad)):
        if place is not None and not 0 <= place < tokens:
            raise CallError(f"the labels say {name} is token {place}, and there are {tokens}", where, "count from 0")
    if longest(config, labels) >= config.n_ctx:
        raise CallError(
            f"the labels say inputs have up to {labels.max_len} tokens, and the model has {config.n_ctx} positions",
            where,
            "one position is the beginning token's",
        )


def as_values(labels: Labels) -> Labels:
    """Labels as JSON gave them, with lists as the tuples they stand for."""
    outputs = None if labels.outputs is None else tuple(map(_value, labels.outputs))
    return msgspec.structs.replace(labels, tokens=tuple(map(_value, labels.tokens)), outputs=outputs)


def _value(value: Any) -> Any:
    return tuple(map(_value, value)) if isinstance(value, list) else value
