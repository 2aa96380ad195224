"""A trained model as one piece of bytes, as a session keeps it: safetensors whose metadata say what the numbers are.

The metadata hold JSON texts: `config` (engine.models.protocols.TransformerConfig), `tokenizer` (what
engine.models.tokenizers.restore_tokenizer reads, or the checkpoint whose tokenizer it is) and `processing`, how the
weights were rewritten before they were trained. Compiled models have `labels` instead (engine.models.labelled).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from engine.models.folders import write_files
from engine.models.labelled import decode_model, read_metadata, safetensors_bytes
from engine.models.protocols import TransformerConfig
from sessions.artifacts import Model, WeightProcessing
from sessions.errors import CallError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from engine.models.protocols import Tokenizer, TransformerModel
    from engine.models.transformer import Transformer


class Trained(NamedTuple):
    """What the bytes say before any weight is read."""

    config: TransformerConfig
    tokenizer: dict[str, Any]
    processing: WeightProcessing
    parameters: int


def encode_trained(
    config: TransformerConfig,
    state: Mapping[str, Tensor],
    tokenizer: Mapping[str, Any],
    processing: WeightProcessing,
) -> bytes:
    """The model as bytes, weights in float32. `state` is named as HookedTransformer's. The same model gives the same
    bytes, so their hash is its identity. CallError when the weights do not fit the configuration."""
    from engine.models.weights import check_names_and_shapes

    check_names_and_shapes(config, {name: tuple(tensor.shape) for name, tensor in state.items()})
    metadata = {
        "config": _text(config),
        "tokenizer": _text(dict(tokenizer)),
        "processing": _text(processing),
    }
    arrays = {name: tensor.detach().float().cpu().numpy() for name, tensor in state.items()}
    return safetensors_bytes(metadata, arrays)


def describe_tokenizer(tokenizer: Tokenizer, handle: Model, stored: bytes | None = None) -> dict[str, Any]:
    """How a model's tokenizer is written beside its weights: by itself, or, where that cannot be, as the checkpoint it
    came with. `stored`: the bytes of the model it belongs to, if a session keeps them. CallError when it is neither."""
    describe = getattr(tokenizer, "describe", None)
    described: dict[str, Any] | None = None if describe is None else describe()
    if described is not None:
        return described
    if stored is not None:
        return read_trained(stored, handle.source).tokenizer
    if describe is None:
        raise CallError(f"the tokenizer {tokenizer.name} cannot be kept with the weights", handle.source)
    return {"type": "source", "source": handle.source}


def read_trained(data: bytes, where: str = "") -> Trained:
    """Configuration and tokenizer of such bytes. CallError when they are others."""
    try:
        metadata, parameters = read_metadata(data)
        return Trained(
            msgspec.json.decode(metadata["config"], type=TransformerConfig),
            msgspec.json.decode(metadata["tokenizer"], type=dict[str, Any]),
            msgspec.json.decode(metadata["processing"], type=WeightProcessing),
            parameters,
        )
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise CallError(f"these are not the weights of a trained model ({error})", where) from None


def is_compiled(data: bytes) -> bool:
    """Whether the bytes are a compiled model's: they have labels."""
    try:
        return "labels" in read_metadata(data)[0]
    except (TypeError, ValueError, KeyError, msgspec.MsgspecError):
        return False


def decode_stored(
    data: bytes, handle: Model, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> Transformer:
    """The model that a session keeps, compiled or trained, ready to run (in float32, unless `dtype` says otherwise).
    CallError for bytes that are something else."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from engine.models.transformer import Transformer

    if is_compiled(data):
        return decode_model(data, handle, device, dtype)
    trained = read_trained(data, handle.source)
    try:
        state = load(data)
    except (SafetensorError, ValueError) as error:
        raise CallError(f"the weights are damaged ({error})", handle.source) from None
    tokenizer = _tokenizer(trained, handle.source)
    return Transformer(trained.config, state, tokenizer, handle, device=device, dtype=dtype or torch.float32)


def trained_handle(
    data: bytes, *, title: str, source: str, device: str = "cpu", facts: dict[str, Any] | None = None
) -> Model:
    """The handle of such bytes."""
    from engine.hardware import free_memory
    from engine.models.forecast import forecast
    from engine.models.loading import make_handle

    trained = read_trained(data, source)
    plan = forecast(trained.config, trained.parameters, device=device, dtype="float32")
    handle = make_handle(
        title=title,
        source=source,
        config=trained.config,
        parameters=trained.parameters,
        sha256=hashlib.sha256(data).hexdigest(),
        device=device,
        dtype="float32",
        processing=trained.processing,
        bytes_needed=plan.needed,
        bytes_free=free_memory(device),
    )
    return msgspec.structs.replace(handle, facts=facts or {})


def as_bytes(model: TransformerModel, tokenizer: Mapping[str, Any]) -> bytes:
    """A model that runs, as bytes. Its weights are written as they are now."""
    from engine.models.transformer import Transformer
    from engine.models.weights import state_dict

    assert isinstance(model, Transformer)
    return encode_trained(model.config, state_dict(model.config, model.weights), tokenizer, model.handle.processing)


def write_trained(folder: Path, data: bytes, where: str = "", *, overwrite: bool = False) -> tuple[Path, ...]:
    """Write `weights.safetensors` with its configuration as .json beside it, which models.load takes, and give their
    paths. What is there already is left alone if it is the same, and otherwise refused, unless `overwrite`.

    CallError for a model whose tokenizer is a checkpoint's, or whose weights were processed: a file says neither.
    """
    trained = read_trained(data, where)
    kind = trained.tokenizer.get("type")
    if kind not in ("words", "tokenizers"):
        raise CallError("its tokenizer cannot be written into a file", where, "keep the model in the session")
    if trained.processing != WeightProcessing():
        raise CallError(
            f"its weights were processed ({trained.processing}), which a file does not say",
            where,
            "train the model as it was published",
        )
    tokenizer = trained.tokenizer
    if isinstance(tokenizer.get("json"), str):  # kept as the text it came as; in a file it is part of the document
        tokenizer = tokenizer | {"json": msgspec.json.decode(tokenizer["json"])}
    document = {"family": "transformer", **msgspec.to_builtins(trained.config), "tokenizer": tokenizer}
    return write_files(
        folder,
        {
            "weights.safetensors": data,
            "weights.json": msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n",
        },
        overwrite=overwrite,
    )


def _tokenizer(trained: Trained, where: str) -> Tokenizer:
    from engine.models.tokenizers import restore_tokenizer

    if trained.tokenizer.get("type") != "source":
        return restore_tokenizer(trained.tokenizer, where)
    from engine.models.hub import fetch
    from engine.models.originals import original_tokenizer
    from engine.models.sources import find_source

    found = find_source(str(trained.tokenizer.get("source")))
    folder = fetch(found.text, weights=False).folder if found.kind == "hub" else found.path
    return original_tokenizer(folder, found.text, trained.config.d_vocab)


def _text(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
