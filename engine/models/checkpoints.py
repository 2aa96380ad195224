"""Weights on disk: what a file really is, its tensors' names and shapes, its hash. Nothing is unpickled here.

Reads headers only, and without torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import safetensors
from safetensors import SafetensorError

from sessions.errors import CallError

INDEX = "model.safetensors.index.json"  # says which of several files holds which tensor
STATE_DICTS = frozenset({".pt", ".pth"})  # of recurrent networks these are read too, without unpickling any object
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"})
_REMEDY = "convert the weights to safetensors (safetensors.torch.save_file) and load that file"
# Beginnings of files that people take for weights. torch.save writes a zip archive, or in its old format a bare pickle.
_PICKLES = ((b"PK\x03\x04", "a torch.save archive, which is a pickle"), (b"\x80", "a pickle"))
_OTHERS = ((b"GGUF", "a GGUF file"), (b"\x89HDF", "an HDF5 file"), (b"\x93NUMPY", "a NumPy file"))


class StoredTensor(NamedTuple):
    dtype: str  # as safetensors writes it: F32, BF16...
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Names, types and shapes of the tensors in a safetensors file.

    CallError when there is no such file, when it is a pickle (by its content, whatever its name says), some other
    format, or a damaged safetensors file.
    """
    refuse_other_formats(path)
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
            return {name: StoredTensor(s.get_dtype(), tuple(s.get_shape())) for name, s in slices.items()}
    except SafetensorError as error:
        raise CallError(
            f"the safetensors file is damaged ({error})", str(path), "fetch or save it again and compare its size"
        ) from None
    except OSError as error:
        raise CallError(f"the file cannot be read ({error.strerror or error})", str(path)) from None


def refuse_other_formats(path: Path) -> None:
    """CallError unless the file begins as a safetensors file does: the length of a JSON header, then the header."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise CallError(f"the file cannot be read ({error.strerror or error})", str(path)) from None
    if start[8:9] == b"{":
        return
    for magic, what in _PICKLES:
        if start.startswith(magic):
            raise CallError(
                f"this is {what}, and loading one can run foreign code: it was not loaded", str(path), _REMEDY
            )
    for magic, what in _OTHERS:
        if start.startswith(magic):
            raise CallError(f"this is {what}, not a safetensors file", str(path), _REMEDY)
    if path.suffix in PICKLE_SUFFIXES:
        raise CallError(f"a {path.suffix} file is not loaded, for it may run foreign code", str(path), _REMEDY)
    raise CallError("this is not a safetensors file, or its beginning is damaged", str(path), _REMEDY)


def is_state_dict(path: Path) -> bool:
    """Whether a file is named and begins as torch.save names and begins one. CallError when it cannot be read."""
    if path.suffix not in STATE_DICTS:
        return False
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise CallError(f"the file cannot be read ({error.strerror or error})", str(path)) from None
    return start[8:9] != b"{" and start.startswith(tuple(magic for magic, _ in _PICKLES))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a checkpoint folder, by name: those of its index, else model.safetensors.

    CallError when one is missing; when there are only pickles, it says that those are never loaded.
    """
    if (folder / INDEX).is_file():
        try:
            index = msgspec.json.decode((folder / INDEX).read_bytes())
            names = sorted(set(index["weight_map"].values()))
            files = tuple(folder / Path(name).name for name in names)
        except (msgspec.DecodeError, KeyError, AttributeError, TypeError):
            raise CallError("the index of the weight files cannot be read", str(folder / INDEX)) from None
        if lost := [file.name for file in files if not file.is_file()]:
            raise CallError(f"weight files are missing: {', '.join(lost[:4])}", str(folder), "fetch them again")
        return files
    if (folder / "model.safetensors").is_file():
        return (folder / "model.safetensors",)
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLE_SUFFIXES)
    if pickles:
        raise CallError(
            f"the weights are only there as a pickle ({pickles[0]}), which is never loaded", str(folder), _REMEDY
        )
    raise CallError("the folder holds no model.safetensors", str(folder), "give a folder with config.json and weights")


def file_hash(paths: Sequence[Path]) -> str:
    """sha256 of a file; of several, sha256 over their hashes in the given order."""
    hashes = []
    for path in paths:
        with path.open("rb") as file:
            hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
