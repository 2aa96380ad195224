"""Compiled models on disk: a folder with `weights.safetensors` and `labels.json`, and plain arrays in an `.npz`.

docs/compiled_models.md is the description for those who write such files. Nothing is unpickled.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.hardware import free_memory, human_bytes
from engine.models.checkpoints import refuse_other_formats
from engine.models.labelled import Opened, State, as_values, check_labels
from engine.models.labels import Labels
from engine.models.protocols import TransformerConfig
from engine.models.sources import LABELS, WEIGHTS, read_config
from sessions.errors import CallError, nearest

# What the shapes of the weights do not say. `attention` has to be said.
_SAID = ("architecture", "attention", "attn_scale", "act_fn", "normalization", "eps")
_PLAIN = {"token_embed": "embed.W_E", "pos_embed": "pos_embed.W_pos", "unembed": "unembed.W_U"}
_HOOKED = re.compile(
    r"(embed\.W_E|pos_embed\.W_pos|unembed\.[Wb]_U|ln_final\.[wb]"
    r"|blocks\.\d+\.(ln[12]\.[wb]|attn\.[Wb]_[QKVO]|mlp\.(W|b)_(in|out)))"
)
_BUFFERS = (".mask", ".IGNORE")  # HookedTransformer keeps them among its weights


def read_folder(folder: Path) -> Opened:
    """The model in a folder. CallError, in one sentence, for everything that is missing or does not fit."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / WEIGHTS
    if not path.is_file():
        raise CallError(f"the folder has {LABELS} and no {WEIGHTS}", str(folder), "put the weights beside the labels")
    document = read_config(folder / LABELS)
    refuse_other_formats(path)
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise CallError(f"the weights cannot be read ({error})", str(path), "save them again as float32") from None
    state, ignored = by_hooked_name(arrays, str(path))
    return described(document, state, str(folder / LABELS))._replace(ignored=ignored)


def write_folder(folder: Path, model: Opened, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Write both files and give their paths: see `write_files`."""
    said: dict[str, Any] = {name: getattr(model.config, name) for name in _SAID}
    document = {**msgspec.to_builtins(model.labels), "model": said}
    contents = {WEIGHTS: model.to_bytes(), LABELS: msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"}
    return write_files(folder, contents, overwrite=overwrite)


def write_files(folder: Path, contents: Mapping[str, bytes], *, overwrite: bool = False) -> tuple[Path, ...]:
    """Write the files of a model, by name, and give their paths. What is there already is left alone if it is the same,
    and otherwise refused (CallError), unless `overwrite`. Other files of the folder are never touched."""
    if folder.exists() and not folder.is_dir():
        raise CallError("there is a file of that name", str(folder), "name a folder")
    for name, data in contents.items():
        path = folder / name
        if path.exists() and not overwrite and path.read_bytes() != data:
            raise CallError(f"there is another {name} already", str(folder), "name a new folder, or say overwrite=true")
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        fresh = folder / f".{name}.part"
        fresh.write_bytes(data)
        fresh.replace(folder / name)
    return tuple(folder / name for name in contents)


def read_arrays(arrays: Path, labels: Path, name: str = "") -> Opened:
    """A model from plain arrays in an `.npz` and labels in JSON: ours, or a list of programs as the original compiler's
    goldens have it, of which `name` chooses one (the one whose file this is, if empty). CallError as `read_folder`."""
    state, ignored = by_hooked_name(_npz(arrays), str(arrays))
    document = read_config(labels)
    if "programs" in document:
        document = _one_of(document, name, arrays.name, str(labels))
    elif name:
        raise CallError("these labels are of one model, which has no name there", str(labels), "leave name out")
    return described(document, state, str(labels))._replace(ignored=ignored)


def by_hooked_name(arrays: Mapping[str, NDArray[Any]], where: str) -> tuple[State, tuple[str, ...]]:
    """The weights among some arrays by HookedTransformer's names, and the names of the other arrays.

    `token_embed`, `pos_embed` and `unembed` are renamed; an attention matrix without a head axis is one head's.
    """
    state: State = {}
    ignored = []
    for name, array in arrays.items():
        plain = _PLAIN.get(name, name)
        if not _HOOKED.fullmatch(plain):
            if not plain.endswith(_BUFFERS):
                ignored.append(name)
            continue
        if array.dtype.kind != "f":
            raise CallError(f"the array {name} is of {array.dtype}, not of floating-point numbers", where)
        if not np.isfinite(array).all():
            raise CallError(f"the array {name} holds numbers that are not finite", where, "a compiled model has none")
        lacks_heads = re.search(r"attn\.W_[QKVO]$", plain) and array.ndim == 2
        state[plain] = array[None] if lacks_heads else array
    if not state:
        raise CallError("there are no weights in it", where, "name them token_embed, blocks.0.attn.W_Q, ...; see docs")
    return state, tuple(ignored)


def described(document: dict[str, Any], state: State, where: str) -> Opened:
    """The model that weights and a labels document make together: the shape from the weights, the rest as said."""
    known = {*Labels.__struct_fields__, "model"}
    for field in document:
        if field not in known:
            raise CallError(f"unknown field '{field}'", where, nearest(field, known))
    said = document.get("model", {})
    if not isinstance(said, dict) or "attention" not in said:
        raise CallError("the labels do not say how the model attends", where, '"model": {"attention": "bidirectional"}')
    for field in said:
        if field not in _SAID:
            raise CallError(f"unknown field '{field}' of the model", where, nearest(field, _SAID))
    try:
        labels = msgspec.convert({n: v for n, v in document.items() if n != "model"}, Labels)
        config = msgspec.convert({**_shape(state, where), **said}, TransformerConfig)
    except msgspec.ValidationError as error:
        raise CallError(f"the labels cannot be read ({error})", where, "see docs/compiled_models.md") from None
    labels = as_values(labels)
    check_labels(config, labels, where)
    from engine.models.weights import check_names_and_shapes

    check_names_and_shapes(config, {name: array.shape for name, array in state.items()}, where)
    return Opened(config, state, labels)


def _shape(state: State, where: str) -> dict[str, Any]:
    """What the weights say of the model's shape; the rest is checked against it."""

    def shape(name: str, axes: int) -> tuple[int, ...]:
        if name not in state:
            raise CallError(f"the weights lack {name}", where, "docs/compiled_models.md lists what is needed")
        if state[name].ndim != axes:
            raise CallError(f"{name} has {state[name].ndim} axes, not {axes}", where)
        return state[name].shape

    vocab, width = shape("embed.W_E", 2)
    heads, _, head = shape("blocks.0.attn.W_Q", 3)
    layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    return {
        "architecture": "rasp",
        "n_layers": layers,
        "n_heads": heads,
        "d_model": width,
        "d_head": head,
        "d_mlp": shape("blocks.0.mlp.W_in", 2)[1] if "blocks.0.mlp.W_in" in state else 0,
        "d_vocab": vocab,
        "n_ctx": shape("pos_embed.W_pos", 2)[0],
        "d_vocab_out": shape("unembed.W_U", 2)[1],
        "act_fn": "relu",
        "normalization": "LN" if any(name.startswith("ln_final") for name in state) else "none",
    }


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz`, none of them objects."""
    try:
        with zipfile.ZipFile(path) as archive:
            needed = sum(entry.file_size for entry in archive.infolist())
        if needed > free_memory("cpu"):
            raise CallError(f"the arrays need {human_bytes(needed)}, more than there is memory", str(path))
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise CallError("there is no such file", str(path), "check the path") from None
    except (OSError, ValueError, zipfile.BadZipFile, KeyError) as error:
        remedy = "save plain arrays with numpy.savez"
        raise CallError(f"the arrays cannot be read ({error})", str(path), remedy) from None


def _one_of(document: dict[str, Any], name: str, file: str, where: str) -> dict[str, Any]:
    """One program of a goldens file as labels of ours."""
    try:
        programs = {str(program["name"]): program for program in document["programs"]}
        fitting = [p for p in programs.values() if p.get("file") == file]
        if name not in programs and (name or len(fitting) != 1):
            problem = f"there is no program '{name}'" if name else f"no program's file is {file}"
            raise CallError(problem, where, nearest(name or file.removesuffix(".npz"), programs))
        program = programs[name] if name else fitting[0]
        tokens = _by_id(program["input_encoding"])
        arch = program.get("arch", {})
        outputs = program.get("output_encoding")
        return {
            "tokens": tokens,
            "bos": tokens.index(document.get("bos", "compiler_bos")),
            "pad": tokens.index(pad) if (pad := document.get("pad", "compiler_pad")) in tokens else None,
            "outputs": None if outputs is None else _by_id(outputs),
            "residual": program.get("residual_labels", []),
            "max_len": program.get("max_seq_len", 0),
            "model": {
                "attention": "causal" if program.get("causal", arch.get("causal")) else "bidirectional",
                "act_fn": arch.get("activation", "relu"),
                "normalization": "LN" if arch.get("layer_norm") else "none",
            },
        }
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CallError(f"the list of programs cannot be read ({type(error).__name__}: {error})", where) from None


def _by_id(encoding: list[list[Any]]) -> list[Any]:
    """[[value, id], ...] as values in the order of their ids."""
    by_id = {int(i): value for value, i in encoding}
    return [by_id[i] for i in range(len(by_id))]
