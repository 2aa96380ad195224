"""What a file of weights really is."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from engine.models.checkpoints import INDEX, StoredTensor, file_hash, read_header, weight_files
from sessions.errors import CallError


class Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.trace,)


def test_a_header_tells_names_types_and_shapes(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": np.zeros((2, 3), np.float32), "y": np.zeros(5, np.float16)}, path)
    assert read_header(path) == {"x": StoredTensor("F32", (2, 3)), "y": StoredTensor("F16", (5,))}
    assert read_header(path)["x"].size == 6


@pytest.mark.parametrize("name", ["weights.pt", "weights.bin", "weights.safetensors"])
@pytest.mark.parametrize("archive", [True, False], ids=["zip", "bare"])
def test_a_pickle_is_refused_and_not_run_whatever_its_name(tmp_path: Path, name: str, archive: bool) -> None:
    path, trace = tmp_path / name, tmp_path / "ran"
    if archive:
        torch.save(Bomb(trace), path)
    else:
        path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(CallError, match=r"pickle.*was not loaded; convert the weights to safetensors"):
        read_header(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"GGUF" + bytes(40), "a GGUF file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file"),
        (b"", "not a safetensors file"),
        (b"hello world, these are no weights", "not a safetensors file"),
        ((200).to_bytes(8, "little") + b"{" + bytes(50), "damaged"),
        ((2**60).to_bytes(8, "little") + b"{}", "damaged"),
    ],
)
def test_other_files_are_refused_with_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CallError, match=said):
        read_header(path)


def test_a_file_cut_short_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": np.zeros(100, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(CallError, match="damaged"):
        read_header(path)


def test_a_header_length_that_looks_like_a_pickle_is_none(tmp_path: Path) -> None:
    """The first byte of a safetensors file is the low byte of its header's length, which may be 0x80."""
    path = tmp_path / "a.safetensors"
    for width in range(1, 200):
        save_file({"n" * width: np.zeros(1, np.float32)}, path)
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert len(read_header(path)) == 1


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="cannot be read"):
        read_header(tmp_path / "none.safetensors")


def test_a_folder_gives_the_files_of_its_index(tmp_path: Path) -> None:
    for name in ("b-2.safetensors", "b-1.safetensors", "stray.safetensors"):
        save_file({"x": np.zeros(1, np.float32)}, tmp_path / name)
    index = {"weight_map": {"x": "b-2.safetensors", "y": "b-1.safetensors", "z": "b-1.safetensors"}}
    (tmp_path / INDEX).write_text(json.dumps(index))
    assert [file.name for file in weight_files(tmp_path)] == ["b-1.safetensors", "b-2.safetensors"]
    (tmp_path / "b-1.safetensors").unlink()
    with pytest.raises(CallError, match=r"weight files are missing: b-1\.safetensors"):
        weight_files(tmp_path)
    (tmp_path / INDEX).write_text("[]")
    with pytest.raises(CallError, match="index of the weight files cannot be read"):
        weight_files(tmp_path)


def test_a_folder_with_pickles_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    with pytest.raises(CallError, match=r"only there as a pickle \(pytorch_model\.bin\), which is never loaded"):
        weight_files(tmp_path)


def test_hashes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"a")
    two.write_bytes(b"b")
    digests = [hashlib.sha256(b).hexdigest() for b in (b"a", b"b")]
    assert file_hash([one]) == digests[0]
    assert file_hash([one, two]) == hashlib.sha256("".join(digests).encode()).hexdigest()
