"""A recurrent network as one piece of bytes, as a session keeps it: safetensors whose metadata hold its configuration.

A step that makes a network returns `stored_rnn(data, source=ctx.keep_weights(data), ...)`; `ctx.rnn` loads it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine.models.folders import write_files
from engine.models.labelled import read_metadata, safetensors_bytes
from sessions.artifacts import Model
from sessions.errors import CallError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from engine.models.rnn import MipsRnn, RnnConfig

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]


def rnn_bytes(config: RnnConfig, weights: Mapping[str, Tensor] | Mapping[str, Array]) -> bytes:
    """The network as bytes; tensors or arrays keep their number format (float32 or float64, the same for all).

    The same network gives the same bytes, so their hash is its identity. CallError when the weights do not fit the
    configuration.
    """
    import torch

    from engine.models.rnn import check_tensors

    tensors = {name: torch.as_tensor(value).detach().cpu() for name, value in weights.items()}
    check_tensors(tensors, config, config.task or "the network")
    metadata = {"family": "rnn", "config": msgspec.json.encode(config, order="sorted").decode()}
    return safetensors_bytes(metadata, {name: tensor.numpy() for name, tensor in tensors.items()})


def read_rnn(data: bytes, where: str = "") -> tuple[RnnConfig, dict[str, Tensor]]:
    """Configuration and tensors of such bytes. CallError when they are others, or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    from engine.models.rnn import RnnConfig, check_tensors

    try:
        metadata, _ = read_metadata(data)
        if metadata.get("family") != "rnn":
            raise ValueError("of another family")
        config = msgspec.json.decode(metadata["config"], type=RnnConfig)
        tensors = load(data)
    except (KeyError, TypeError, ValueError, SafetensorError, msgspec.MsgspecError) as error:
        raise CallError(f"these are not the weights of a recurrent network ({error})", where) from None
    check_tensors(tensors, config, where)
    return config, tensors


def decode_rnn(data: bytes, handle: Model, device: str | torch.device = "cpu") -> MipsRnn:
    """The network that a session keeps, ready to run, in the number format the handle names."""
    import torch

    from engine.models.rnn import MipsRnn

    config, tensors = read_rnn(data, handle.source)
    dtype = getattr(torch, handle.dtype)
    return MipsRnn(handle, config, {name: tensor.to(device=device, dtype=dtype) for name, tensor in tensors.items()})


def stored_rnn(data: bytes, *, title: str, source: str, facts: Mapping[str, Any] | None = None) -> Model:
    """The handle of such bytes, kept under `source` (`session:SHA256`)."""
    from engine.models.rnn import rnn_handle

    config, tensors = read_rnn(data, source)
    dtype = str(next(iter(tensors.values())).dtype).removeprefix("torch.")
    sha256 = hashlib.sha256(data).hexdigest()
    handle = rnn_handle(config, title=title, source=source, sha256=sha256, device="cpu", dtype=dtype)
    return msgspec.structs.replace(handle, facts=dict(facts or {}))


def write_rnn(folder: Path, data: bytes, where: str = "", *, overwrite: bool = False) -> tuple[Path, ...]:
    """Write `weights.safetensors` with its configuration as .json beside it, which models.load takes, and give their
    paths. What is there already is left alone if it is the same, and otherwise refused, unless `overwrite`."""
    config, _ = read_rnn(data, where)
    document = {"family": "rnn", "architecture": "mips-rnn", **msgspec.to_builtins(config)}
    return write_files(
        folder,
        {
            "weights.safetensors": data,
            "weights.json": msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n",
        },
        overwrite=overwrite,
    )
