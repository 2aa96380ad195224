"""From a source to a model that runs, with a handle that finds the same one again.

Bundled models and safetensors files need torch alone; Hugging Face checkpoints go through `engine.models.hooked`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine.hardware import choose_device, free_memory, human_bytes, is_out_of_memory, torch_dtype
from engine.models.checkpoints import file_hash, read_header
from engine.models.forecast import forecast, refuse_too_big
from engine.models.protocols import TransformerConfig
from engine.models.recurrent import is_recurrent
from engine.models.sources import ZOO, Source, find_source, hub_cache, read_config, zoo_sources
from sessions.artifacts import Model, WeightProcessing
from sessions.errors import CallError, IwbError, nearest

if TYPE_CHECKING:
    from engine.models.protocols import RecurrentModel, TransformerModel

_AS_TRAINED = WeightProcessing()


def load_model(
    source: str, *, device: str = "auto", dtype: str = "float32", processing: WeightProcessing = _AS_TRAINED
) -> TransformerModel | RecurrentModel:
    """The model, ready to run, with its `handle` filled in.

    `source`: `zoo:NAME`, a .safetensors file with its configuration (.json) beside it, a PyTorch state dict of a
    recurrent network (.pt, .pth; docs/your_rnn.md), a Hugging Face checkpoint folder, a compiled model's folder
    (docs/compiled_models.md), or a Hugging Face name. CallError for everything a person can get wrong: unknown source
    (with the nearest), pickles, damaged files, weights that do not fit the configuration, unsupported architectures,
    and models too big for memory, which are refused before they are loaded. IwbError
    when the network is needed and not there.
    """
    found = find_source(source)
    place = choose_device(device)
    torch_dtype(dtype)
    try:
        if found.kind == "file":
            return _load_file(found, place, dtype, processing)
        if found.kind == "labelled":
            return _load_labelled(found, place, dtype, processing)
        from engine.models.hooked import load_checkpoint

        return load_checkpoint(found, device=place, dtype=dtype, processing=processing)
    except (RuntimeError, MemoryError) as error:  # the forecast held, but something else took the memory meanwhile
        if not is_out_of_memory(error):
            raise
        raise IwbError(
            f"memory ran out while the model was loaded; {human_bytes(free_memory(place))} are free on {place}",
            source,
            "load it as bfloat16, choose a smaller model, or close what else uses the memory",
        ) from None


def reload(handle: Model) -> TransformerModel | RecurrentModel:
    """The model behind a handle. On a machine without its device, the best one there is.

    IwbError when it is no longer the same: other weights (by sha256) or another configuration.
    """
    try:
        device = choose_device(handle.device)
    except CallError:
        device = "auto"
    model = load_model(handle.source, device=device, dtype=handle.dtype, processing=handle.processing)
    if handle.sha256 and model.handle.sha256 != handle.sha256:
        raise IwbError(
            f"the weights are not those of the recorded model (sha256 {model.handle.sha256[:12]}, "
            f"recorded {handle.sha256[:12]})",
            handle.source,
            "put the recorded weights back, or load the model again as a new step",
        )
    if handle.config and not _same_config(handle, model.handle):
        raise IwbError(
            "the model's configuration has changed since it was recorded",
            handle.source,
            "put the recorded configuration back, or load the model again as a new step",
        )
    return model


def _same_config(recorded: Model, now: Model) -> bool:
    """Fields that a newer iwb added count as their defaults."""
    if recorded.family != "transformer" or now.family != "transformer":
        # As JSON: a tuple comes back from the session file as a list.
        return msgspec.json.encode(recorded.config, order="sorted") == msgspec.json.encode(now.config, order="sorted")
    return msgspec.convert(recorded.config, TransformerConfig) == msgspec.convert(now.config, TransformerConfig)


def available_models() -> list[dict[str, Any]]:
    """What is bundled, then what lies in this machine's Hugging Face cache, as plain values for `iwb models`."""
    models = []
    for source in zoo_sources():
        path = ZOO / f"{source.removeprefix('zoo:')}.safetensors"
        config = read_config(path.with_suffix(".json"))
        header = read_header(path)
        models.append(
            {
                "source": source,
                "family": str(config.get("family", "transformer")),
                "title": str(config.get("title") or path.stem),
                "summary": str(config.get("summary") or _outline(config)),
                "parameters": sum(tensor.size for tensor in header.values()),
                "bytes": path.stat().st_size,
                "bundled": True,
            }
        )
    cached = [{"source": name, "family": "transformer", "title": name, "bundled": False} for name in hub_cache()]
    return models + cached


def _outline(config: dict[str, Any]) -> str:
    """The shape in a few words, from a bundled configuration."""
    if config.get("family") == "rnn":
        return ", ".join(f"{config[name]} {name}" for name in ("hidden", "inputs", "outputs") if name in config)
    return shape_in_words(transformer_config(config, Path("zoo")))


def shape_in_words(config: TransformerConfig) -> str:
    layers = f"{config.n_layers} layer{'s' if config.n_layers != 1 else ''} x {config.n_heads} head"
    layers += "s" if config.n_heads != 1 else ""
    return f"{layers}{'' if config.d_mlp else ', attention only'}, width {config.d_model}"


def _load_file(
    source: Source, device: str, dtype: str, processing: WeightProcessing
) -> TransformerModel | RecurrentModel:
    if is_recurrent(source.path):
        if processing != _AS_TRAINED:
            raise CallError(f"weight processing ({processing}) is for transformers; this is an RNN", source.text)
        from engine.models.recurrent import load_recurrent

        network = load_recurrent(source.path, source=source.text, device=device, dtype=torch_dtype(dtype))
        network.handle = msgspec.structs.replace(network.handle, bytes_free=free_memory(device))
        return network
    config = read_config(source.path.with_suffix(".json"))
    header = read_header(source.path)
    from safetensors.torch import load_file

    from engine.models.tokenizers import read_tokenizer
    from engine.models.transformer import Transformer
    from engine.models.weights import check_names_and_shapes

    shape = transformer_config(config, source.path.with_suffix(".json"))
    check_names_and_shapes(shape, {name: tensor.shape for name, tensor in header.items()}, source.text)
    numbers = sum(tensor.size for tensor in header.values())
    plan = forecast(shape, numbers, device=device, dtype=dtype)
    refuse_too_big(plan, source.text)
    tokenizer = read_tokenizer(config.get("tokenizer"), source.path.parent, source.path.stem)
    state = load_file(source.path)
    if processing != _AS_TRAINED:
        from engine.models.hooked import process_weights

        state = process_weights(shape, state, processing, source.text)
    handle = make_handle(
        title=str(config.get("title") or source.path.stem),
        source=source.text,
        config=shape,
        parameters=numbers,
        sha256=file_hash([source.path]),
        device=device,
        dtype=dtype,
        processing=processing,
        bytes_needed=plan.needed,
        bytes_free=plan.free,
    )
    return Transformer(shape, state, tokenizer, handle, device=device, dtype=torch_dtype(dtype))


def _load_labelled(source: Source, device: str, dtype: str, processing: WeightProcessing) -> TransformerModel:
    if processing != _AS_TRAINED:
        raise CallError(f"weight processing ({processing}) is for trained models; this one is compiled", source.text)
    from engine.models.folders import read_folder
    from engine.models.labelled import decode_model, handle_of

    model = read_folder(source.path)
    numbers = sum(array.size for array in model.state.values())
    plan = forecast(model.config, numbers, device=device, dtype=dtype)
    refuse_too_big(plan, source.text)
    data = model.to_bytes()
    handle = handle_of(data, title=source.path.resolve().name, source=source.text, device=device, dtype=dtype)
    sizes = {"bytes_needed": plan.needed, "bytes_free": plan.free}
    return decode_model(data, msgspec.structs.replace(handle, **sizes), device, torch_dtype(dtype))


def transformer_config(config: dict[str, Any], path: Path) -> TransformerConfig:
    """The shape in a model's JSON configuration. CallError names the field that is wrong or missing."""
    known = set(TransformerConfig.__struct_fields__)
    extra = {"family", "tokenizer", "title", "summary", "training"}
    for name in config:
        if name not in known | extra:
            raise CallError(f"unknown field '{name}'", str(path), nearest(name, known | extra))
    fields = {name: value for name, value in config.items() if name in known}
    try:
        return msgspec.convert({"architecture": "transformer", **fields}, TransformerConfig)
    except msgspec.ValidationError as error:
        raise CallError(f"the configuration is not that of a transformer ({error})", str(path)) from None


def make_handle(
    *,
    title: str,
    source: str,
    config: TransformerConfig,
    parameters: int,
    sha256: str,
    device: str,
    dtype: str,
    processing: WeightProcessing,
    bytes_needed: int,
    bytes_free: int,
    revision: str = "",
) -> Model:
    """The handle of a transformer, with a summary a person can read at a glance."""
    return Model(
        title=title,
        summary=f"{config.architecture}, {shape_in_words(config)}, {parameters:,} parameters "
        f"({human_bytes(bytes_needed)}), {dtype} on {device}, {processing}",
        source=source,
        family="transformer",
        architecture=config.architecture,
        revision=revision,
        sha256=sha256,
        config=msgspec.to_builtins(config),
        parameters=parameters,
        device=device,
        dtype=dtype,
        processing=processing,
        bytes_needed=bytes_needed,
        bytes_free=bytes_free,
    )
