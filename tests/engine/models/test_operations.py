"""Loading and looking as operations: parameters, artifacts, and what they cost to list."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.models.operations import OPERATIONS
from engine.operations import Context, Operation, describe, parse
from sessions.artifacts import AnyArtifact, Model, Table
from sessions.codec import decode, encode
from sessions.errors import CallError
from tests.engine.models.conftest import save_model, small_config

LOAD, INSPECT, SAVE, IMPORT = OPERATIONS[:4]


def run(operation: Operation, **values: Any) -> tuple[AnyArtifact, list[str]]:
    notes: list[str] = []
    context = SimpleNamespace(
        hold=lambda model: None, progress=lambda done, total, note="": notes.append(f"{done}/{total} {note}")
    )
    (artifact,) = operation.function(parse(operation, values), cast("Context", context))
    return artifact, notes


def test_loading_leaves_a_handle_that_survives_the_file(tmp_path: Path) -> None:
    path = save_model(tmp_path / "mine.safetensors", small_config(d_vocab=10))
    handle, notes = run(LOAD, source=str(path), device="cpu", dtype="bfloat16", center_unembed="true")
    assert isinstance(handle, Model)
    assert handle.dtype == "bfloat16"
    assert str(handle.processing) == "center_unembed"
    assert decode(encode(handle)) == handle
    assert notes[-1] == "1/1 mine"


def test_sources_may_be_files_of_the_client() -> None:
    """The engine may run elsewhere than the person: relative paths are completed where the request was made."""
    assert LOAD.files == INSPECT.files == ("source",)
    assert IMPORT.files == ("arrays", "labels")
    assert SAVE.outputs == ("folder",)


def test_looking_gives_a_table() -> None:
    table, _ = run(INSPECT, source="zoo:tpp")
    assert isinstance(table, Table)
    assert INSPECT.interactive
    assert decode(encode(table)) == table


def test_networks_that_are_no_transformers_load_the_same_way() -> None:
    handle, _ = run(LOAD, source="zoo:rnn/Parity_All", device="cpu")
    assert isinstance(handle, Model)
    assert handle.family == "rnn"
    with pytest.raises(CallError, match="weight processing"):
        run(LOAD, source="zoo:rnn/Parity_All", fold_ln=True)


def test_weights_are_as_trained_unless_asked_otherwise() -> None:
    defaults = {field.name: field.default for field in describe(LOAD).fields if not field.required}
    assert defaults == {
        "device": "auto",
        "dtype": "float32",
        "fold_ln": False,
        "center_writing_weights": False,
        "center_unembed": False,
        "fold_value_biases": False,
    }
    assert all(field.help for field in describe(LOAD).fields)


def test_wrong_parameters_are_told() -> None:
    with pytest.raises(CallError, match="'gpu' does not fit parameter 'device'"):
        parse(LOAD, {"source": "zoo:tpp", "device": "gpu"})
    with pytest.raises(CallError, match="parameter 'source' is missing"):
        parse(INSPECT, {})


def test_listing_them_loads_no_torch() -> None:
    code = "import sys, engine.models.operations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
