"""A recurrent network of the user's, from its file of weights and the .json beside it.

safetensors, or a PyTorch state dict; under torch's names, the MIPS names or any others that can be told apart by their
shapes. A network of the MIPS form becomes a `MipsRnn`, any other a `CellRnn`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.models.arrangement import Arrangement, arrange, looks_recurrent
from engine.models.checkpoints import file_hash, is_state_dict, read_header
from engine.models.rnn_configuration import CellConfig, Written, example_of, read_written, settle
from engine.models.sources import read_config
from engine.models.state_dicts import read_tensors
from sessions.artifacts import Model
from sessions.errors import CallError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from engine.models.cells import CellRnn
    from engine.models.rnn import MipsRnn

NAMES = {"elman": "Elman network", "gru": "GRU", "lstm": "LSTM", "mlp": "RNN"}


def is_recurrent(path: Path) -> bool:
    """Whether a file of weights is a recurrent network's: its configuration says so, or there is none to say and its
    tensors' names do. A PyTorch state dict is always taken for one."""
    if is_state_dict(path):
        return True
    config = configuration_beside(path)
    family = config.get("family", "")
    if family not in ("", "transformer", "rnn"):
        raise CallError(f"unknown family '{family}'", str(path.with_suffix(".json")), "transformer or rnn")
    return family == "rnn" or (not family and looks_recurrent(list(read_header(path))))


def configuration_beside(path: Path) -> dict[str, Any]:
    """The .json beside a file of weights; empty where there is none, for shapes may say enough."""
    beside = path.with_suffix(".json")
    return read_config(beside) if beside.is_file() else {}


def described(shapes: dict[str, tuple[int, ...]], path: Path) -> tuple[Arrangement, Written, CellConfig]:
    """What the shapes and the configuration beside the file say together. CallError as `arrange` and `settle` raise;
    where there is no configuration and one is needed, it says what to write."""
    beside = path.with_suffix(".json")
    written = read_written(configuration_beside(path), str(beside))
    found = arrange(shapes, str(path))
    try:
        return found, written, settle(written, found, str(beside))
    except CallError as error:
        if beside.is_file():
            raise
        raise CallError(
            f"the configuration {beside.name} is missing, and without it {error.what}",
            str(path.parent),
            f"write it, for example {example_of(found)}",
        ) from None


def load_recurrent(path: Path, *, source: str, device: str | torch.device, dtype: torch.dtype) -> MipsRnn | CellRnn:
    """The network, ready to run. CallError for a file that is damaged, holds code or other tensors, and for a
    configuration that contradicts them or leaves open what has to be known."""
    tensors = read_tensors(path)
    found, written, config = described({name: tuple(value.shape) for name, value in tensors.items()}, path)
    if wrong := [name for name in found.names.values() if not _usable(tensors[name])]:
        raise CallError(f"{wrong[0]} is no plain array of floating-point numbers", str(path))
    weights = {name: tensors[theirs].to(device, dtype, copy=True).contiguous() for name, theirs in found.names.items()}
    weights = _with_biases(weights)
    if written.order == "xh":
        first = weights["f.0.weight"]
        weights["f.0.weight"] = first.roll(config.hidden, dims=1)  # the inputs' columns came first
    parameters = sum(tensors[name].numel() for name in found.names.values())
    recorded = msgspec.json.decode(msgspec.json.encode(config))  # lists, as they come back from a session
    handle = Model(
        title=f"{NAMES[config.cell]} {config.task or ('' if config.plain else path.stem)}".rstrip(),
        summary=f"{config.in_words()}; {parameters:,} parameters" + _assumed(path, config),
        source=source,
        family="rnn",
        architecture=architecture(config),
        sha256=file_hash([path]),
        config=recorded,
        parameters=parameters,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        bytes_needed=parameters * dtype.itemsize,
    )
    network = _network(handle, config, weights)
    if written.order != "hx":  # so that a change of it is noticed when the network is loaded again
        changed = {**network.handle.config, "order": written.order}
        network.handle = msgspec.structs.replace(network.handle, config=changed)
    return network


def _network(handle: Model, config: CellConfig, weights: dict[str, Tensor]) -> MipsRnn | CellRnn:
    if not config.plain:
        from engine.models.cells import CellRnn

        return CellRnn(handle, config, weights)
    from engine.models.rnn import MipsRnn, RnnConfig, rnn_handle

    shape = RnnConfig(**{name: getattr(config, name) for name in RnnConfig.__struct_fields__})
    same = {"source": handle.source, "sha256": handle.sha256, "device": handle.device, "dtype": handle.dtype}
    return MipsRnn(rnn_handle(shape, title=handle.title, **same), shape, weights)


def architecture(config: CellConfig) -> str:
    """As a handle and a card name it."""
    if config.cell == "mlp":
        return "mips-rnn" if config.plain else "mlp-rnn"
    return config.cell


def _assumed(path: Path, config: CellConfig) -> str:
    if path.with_suffix(".json").is_file():
        return ""
    return f"; no configuration: inputs {config.low}..{config.high} and length {config.length} are assumed"


def _usable(tensor: Tensor) -> bool:
    import torch

    return tensor.is_floating_point() and tensor.layout == torch.strided and not tensor.is_meta


def _with_biases(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Zeros where an affine layer of f, g or the readout has no bias."""
    for name in [name for name in weights if name.split(".")[0] in ("f", "g", "readout") and name.endswith(".weight")]:
        bias = f"{name.removesuffix('weight')}bias"
        weights.setdefault(bias, weights[name].new_zeros(len(weights[name])))
    return weights
