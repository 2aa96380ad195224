"""What a model is, and whether it would fit, without reading its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.hardware import choose_device, human_bytes, torch_dtype
from engine.models.checkpoints import StoredTensor, is_state_dict, read_header, weight_files
from engine.models.families import refuse_unsupported
from engine.models.forecast import Forecast, forecast
from engine.models.protocols import TransformerConfig
from engine.models.recurrent import architecture, described, is_recurrent
from engine.models.sources import Source, find_source, read_config
from sessions.artifacts import Column, Table
from sessions.errors import CallError

Row = tuple[str, str]
# Tensors in old checkpoints that are no parameters: causal masks and rotary frequencies.
BUFFERS = (".attn.bias", ".masked_bias", ".attention.bias", ".inv_freq")


def inspect_model(source: str, *, device: str = "auto", dtype: str = "float32") -> Table:
    """Two columns, property and value: family, architecture, shape, parameters, memory needed and free, device.

    CallError as `load_model` raises for what headers can show. A Hugging Face name that is not in this machine's cache
    is looked up on the network.
    """
    found = find_source(source)
    place = choose_device(device)
    torch_dtype(dtype)
    if found.kind == "file":
        rows, plan = _file(found, place, dtype)
    elif found.kind == "labelled":
        from engine.models.folders import read_folder

        model = read_folder(found.path)
        numbers = sum(array.size for array in model.state.values())
        rows, plan = _rows(model.config, numbers), forecast(model.config, numbers, device=place, dtype=dtype)
    else:
        if found.kind == "hub":
            from engine.models.hub import fetch

            found = found._replace(path=fetch(found.text, weights=False).folder)
        rows, plan = _checkpoint(found, place, dtype)
    memory: list[Row] = [("device", place), ("number format", dtype)]
    fits = "yes"
    if plan is not None:
        fits = "yes" if plan.fits else "no"
        memory += [("memory needed", human_bytes(plan.needed)), ("memory free", human_bytes(plan.free)), ("fits", fits)]
    title = source.removeprefix("zoo:")
    return Table(
        title=f"{title} before loading",
        summary=", ".join(f"{name} {value}" for name, value in (*rows[:1], *rows[-1:], *memory[2:])),
        columns=(Column("property", "text"), Column("value", "text")),
        rows=(("source", source), *rows, *memory),
        facts={"source": source, "device": place, "dtype": dtype, "fits": fits == "yes"},
    )


def _file(source: Source, device: str, dtype: str) -> tuple[list[Row], Forecast | None]:
    if is_recurrent(source.path):
        return _recurrent(source.path), None
    config = read_config(source.path.with_suffix(".json"))
    header = read_header(source.path)
    numbers = sum(tensor.size for tensor in header.values())
    from engine.models.loading import transformer_config

    shape = transformer_config(config, source.path.with_suffix(".json"))
    return _rows(shape, numbers), forecast(shape, numbers, device=device, dtype=dtype)


def _recurrent(path: Path) -> list[Row]:
    """From the shapes and the configuration. A PyTorch state dict has no header: it is read."""
    if is_state_dict(path):
        from engine.models.state_dicts import read_tensors

        shapes = {name: tuple(tensor.shape) for name, tensor in read_tensors(path).items()}
    else:
        shapes = {name: tensor.shape for name, tensor in read_header(path).items()}
    _, _, config = described(shapes, path)
    return [
        ("architecture", architecture(config)),
        ("shape", config.in_words()),
        ("sequences", f"of length {config.length}"),
        ("parameters", f"{sum(math.prod(shape) for shape in shapes.values()):,}"),
    ]


def _checkpoint(source: Source, device: str, dtype: str) -> tuple[list[Row], Forecast]:
    config = read_config(source.path / "config.json")
    refuse_unsupported(config, source.text)
    shape = outline(config, str(source.path / "config.json"))
    if any(source.path.glob("*.safetensors")) or source.kind == "folder":
        headers = {name: tensor for path in weight_files(source.path) for name, tensor in read_header(path).items()}
        numbers, held = stored_numbers(headers), held_numbers(headers, config)
    else:
        from engine.models.hub import published_parameters

        numbers = published_parameters(source.text)
        held = numbers + shape.d_vocab * shape.d_model
    return _rows(shape, numbers), forecast(shape, held, device=device, dtype=dtype, staged=1.0)


def stored_numbers(headers: Mapping[str, StoredTensor]) -> int:
    """The parameters of a checkpoint, as it stores them: a shared embedding counts once."""
    return sum(tensor.size for name, tensor in headers.items() if not name.endswith(BUFFERS))


def held_numbers(headers: Mapping[str, StoredTensor], config: dict[str, Any]) -> int:
    """The numbers held in memory: an embedding shared with the unembedding is held twice."""
    shape = outline(config, "")
    shared = not any(name.endswith(("lm_head.weight", "embed_out.weight")) for name in headers)
    return stored_numbers(headers) + (shape.d_vocab * shape.d_model if shared else 0)


def _rows(shape: TransformerConfig, numbers: int) -> list[Row]:
    heads = f"{shape.n_layers} layer{'s' if shape.n_layers != 1 else ''} x {shape.n_heads} head"
    heads += "s" if shape.n_heads != 1 else ""
    if shape.n_kv_heads not in (0, shape.n_heads):
        heads += f" ({shape.n_kv_heads} key/value)"
    mlp = f"MLP {shape.d_mlp}" if shape.d_mlp else "attention only"
    return [
        ("architecture", shape.architecture),
        ("shape", f"{heads}, width {shape.d_model}, {mlp}"),
        ("context", f"{shape.n_ctx:,} tokens"),
        ("vocabulary", f"{shape.d_vocab:,} tokens"),
        ("parameters", f"{numbers:,}"),
    ]


# The names that families give the same number in their config.json.
_NAMES = {
    "n_layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "n_heads": ("num_attention_heads", "n_head", "num_heads"),
    "d_model": ("hidden_size", "n_embd", "d_model"),
    "d_mlp": ("intermediate_size", "n_inner", "ffn_dim"),
    "d_vocab": ("vocab_size",),
    "n_ctx": ("max_position_embeddings", "n_positions", "n_ctx"),
}


def outline(config: dict[str, Any], where: str) -> TransformerConfig:
    """The sizes in a Hugging Face config.json, enough for a card and a forecast of memory; not enough to run it.

    CallError when a size is not there.
    """
    sizes: dict[str, Any] = {}
    for ours, names in _NAMES.items():
        value = next((config[name] for name in names if config.get(name) is not None), None)
        if value is None and ours == "d_mlp" and "d_model" in sizes:
            value = 4 * sizes["d_model"]
        if not isinstance(value, int) or value <= 0:
            raise CallError(
                f"the configuration has no {names[0]}", where, "give a decoder-only transformer's checkpoint"
            )
        sizes[ours] = value
    head = config.get("head_dim") or sizes["d_model"] // sizes["n_heads"]
    return TransformerConfig(
        architecture=str(config.get("model_type", "transformer")),
        d_head=int(head),
        n_kv_heads=int(config.get("num_key_value_heads") or 0),
        **sizes,
    )
