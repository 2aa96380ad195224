"""Files of recurrent networks as people have them: names, containers, configurations, and what is wrong with them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.models.cells import CellRnn
from engine.models.inspection import inspect_model
from engine.models.loading import load_model
from engine.models.protocols import RecurrentModel
from engine.models.rnn import MipsRnn
from engine.server.submission import fingerprint
from sessions.artifacts import WeightProcessing
from sessions.errors import CallError
from tests.engine.models.test_cells import made


def loaded(path: Path) -> RecurrentModel:
    model = load_model(str(path), device="cpu")
    assert isinstance(model, (MipsRnn, CellRnn))
    return model


def state(path: Path, tensors: Mapping[str, Tensor] | Any, config: Mapping[str, Any] | None = None) -> Path:
    torch.save(tensors, path)
    if config is not None:
        path.with_suffix(".json").write_text(json.dumps({"family": "rnn", **config}))
    return path


def renamed(tensors: Mapping[str, Tensor], **names: str) -> dict[str, Tensor]:
    """`rnn="lstm1"` puts one beginning in another's place; empty: none."""
    found = {}
    for name, tensor in tensors.items():
        for old, new in names.items():
            if name.startswith(f"{old}."):
                name = f"{new}.{name.removeprefix(f'{old}.')}".removeprefix(".")
        found[name] = tensor
    return found


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"rnn": "", "fc": "readout"},
        {"rnn": "model.lstm", "fc": "model.linear"},
        {"rnn": "module.net.cell", "fc": "module.net.head.0"},
        {"rnn": "module.encoder", "fc": "module.decoder"},
    ],
    ids=str,
)
def test_the_names_of_torch_are_known_under_any_prefix(tmp_path: Path, names: dict[str, str]) -> None:
    net = made("lstm", 1, 3, 1)
    x = torch.randint(0, 2, (4, 6, 1)).float()
    tensors = renamed(net.state_dict(), **names)
    torch.testing.assert_close(loaded(state(tmp_path / "net.pth", tensors)).run(x)[1], net(x), rtol=1e-5, atol=1e-6)
    save_file(tensors, tmp_path / "net.safetensors")  # without a configuration, names say that it is no transformer
    model = loaded(tmp_path / "net.safetensors")
    torch.testing.assert_close(model.run(x)[1], net(x), rtol=1e-5, atol=1e-6)
    assert "inputs 0..1 and length 10 are assumed" in model.handle.summary


def test_single_cells_and_stacks_of_them_are_layers(tmp_path: Path) -> None:
    torch.manual_seed(3)
    net = nn.ModuleDict({"cells": nn.ModuleList([nn.GRUCell(2, 4), nn.GRUCell(4, 4)]), "out": nn.Linear(4, 1)})
    first, second = net["cells"]  # type: ignore[misc]
    model = loaded(state(tmp_path / "net.pt", net.state_dict()))
    x = torch.randint(0, 2, (3, 5, 2)).float()
    a = b = torch.zeros(3, 4)
    hidden, y = model.run(x)
    for t in range(5):
        a = first(x[:, t], a)
        b = second(a, b)
        torch.testing.assert_close(hidden[:, t], torch.cat([a, b], dim=1), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(y[:, t], net["out"](b), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("update", "readout", "order"),
    [
        ({"f.net.0": (8, 4), "f.net.2": (3, 8)}, {"g.net.0": (1, 3)}, "hx"),
        ({"mlp1.linear1": (8, 4), "mlp1.linear2": (3, 8)}, {"mlp2.linear1": (5, 3), "mlp2.linear2": (1, 5)}, "hx"),
        ({"model.hmlp.layers.0": (3, 4)}, {"model.ymlp.layers.0": (1, 3)}, "hx"),
        ({"update.0": (3, 4)}, {"read.0": (1, 3)}, "hx"),
        ({"step1": (8, 4), "step2": (8, 8), "step10": (3, 8)}, {"out": (1, 3)}, "hx"),
        ({"i2h": (3, 4)}, {"h2o": (1, 3)}, "xh"),
    ],
    ids=str,
)
@pytest.mark.parametrize("file", ["net.pt", "net.safetensors"])
def test_the_mips_form_is_known_by_its_shapes(
    tmp_path: Path, update: dict[str, tuple[int, int]], readout: dict[str, tuple[int, int]], order: str, file: str
) -> None:
    generator = torch.Generator().manual_seed(0)
    layers = {**readout, **update}
    tensors = {f"{name}.weight": torch.randn(shape, generator=generator) for name, shape in layers.items()}
    tensors |= {f"{name}.bias": torch.randn(shape[0], generator=generator) for name, shape in layers.items()}
    if file.endswith("pt"):
        torch.save(tensors, tmp_path / file)
    else:
        save_file(tensors, tmp_path / file)
    (tmp_path / "net.json").write_text(json.dumps({"family": "rnn", "order": order}))
    model = loaded(tmp_path / file)
    assert isinstance(model, MipsRnn)
    assert model.handle.architecture == "mips-rnn"
    assert (model.hidden, model.inputs, model.outputs) == (3, 1, 1)

    def through(names: Mapping[str, object], values: Tensor) -> Tensor:
        for k, name in enumerate(names):
            values = nn.functional.linear(values if k == 0 else values.relu(), tensors[f"{name}.weight"])
            values = values + tensors[f"{name}.bias"]
        return values

    h, x = torch.zeros(2, 3), torch.tensor([[2.0], [-1.0]])
    for _ in range(3):
        expected = through(update, torch.cat([h, x] if order == "hx" else [x, h], dim=1))
        h = model.step(h, x)
        torch.testing.assert_close(h, expected)
        torch.testing.assert_close(model.readout(h), through(readout, h))


def test_a_state_dict_inside_a_trainers_checkpoint_is_found(tmp_path: Path) -> None:
    net = made("gru", 1, 3, 1)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2, 1)).sum().backward()
    optimizer.step()
    checkpoint = {"epoch": 3, "model_state_dict": net.state_dict(), "optimizer": optimizer.state_dict(), "loss": 0.1}
    model = loaded(state(tmp_path / "net.pt", checkpoint))
    x = torch.ones(1, 4, 1)
    torch.testing.assert_close(model.run(x)[1], net(x), rtol=1e-5, atol=1e-6)
    old = tmp_path / "old.pth"
    torch.save(net.state_dict(), old, _use_new_zipfile_serialization=False)
    torch.testing.assert_close(loaded(old).run(x)[1], net(x), rtol=1e-5, atol=1e-6)


class Bomb:
    """Unpickling it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.trace,)


def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    trace, path = tmp_path / "ran", tmp_path / "net.pt"
    said = (
        r"can run foreign code: it was not loaded; save its state dict: torch\.save\(net\.state_dict\(\), 'net\.pt'\)"
    )
    for content in (Bomb(trace), {"rnn.weight_ih_l0": torch.zeros(1), "x": Bomb(trace)}, made("gru", 1, 2, 1)):
        torch.save(content, path)
        with pytest.raises(CallError, match=said):
            load_model(str(path))
        with pytest.raises(CallError, match=said):
            inspect_model(str(path))
    path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(CallError, match=said):
        load_model(str(path))
    assert not trace.exists()
    other = tmp_path / "net.safetensors"  # a pickle under another name is not even looked into
    torch.save(made("gru", 1, 2, 1).state_dict(), other)
    with pytest.raises(CallError, match=r"this is a torch\.save archive"):
        load_model(str(other))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit
def test_a_file_that_is_damaged_or_holds_something_else_is_told(tmp_path: Path) -> None:
    path = state(tmp_path / "net.pt", made("gru", 1, 2, 1).state_dict())
    whole = path.read_bytes()
    for content, said in (
        (whole[:-40], "the PyTorch file is damaged"),
        (b"PK\x03\x04" + bytes(50), "the PyTorch file is damaged"),
        (b"\x80", "the PyTorch file is damaged"),
        (b"", r"a \.pt file is not loaded"),
    ):
        path.write_bytes(content)
        with pytest.raises(CallError, match=said):
            load_model(str(path))
    for content, said in (
        ([1, 2], "there is no state dict in it, but a list"),
        ({"epoch": 3}, "no state dict in it, but a dictionary with 'epoch'"),
        ({"a": {"x": torch.zeros(1)}, "b": {"x": torch.zeros(1)}}, r"there is 2 state dicts \('a', 'b'\)"),
    ):
        with pytest.raises(CallError, match=said):
            load_model(str(state(path, content)))
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), str(path))
    with pytest.raises(CallError, match="TorchScript archive, which holds code"):
        load_model(str(path))
    integers = {name: value.long() for name, value in made("gru", 1, 2, 1).state_dict().items()}
    with pytest.raises(CallError, match="no plain array of floating-point numbers"):
        load_model(str(state(path, integers)))


GRU = {name: tuple(value.shape) for name, value in made("gru", 1, 3, 1).state_dict().items()}


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (
            {"conv.weight": (4, 4, 3)},
            r"not the tensors of a known recurrent network: conv\.weight \(4, 4, 3\); expected",
        ),
        ({"f.0.weight": (3, 3), "g.0.weight": (1, 3)}, "where f reads more numbers than it gives"),
        ({**GRU, "fc.weight": (1, 4)}, "do not follow on each other and begin with the 3 hidden numbers"),
        ({**GRU, "bn.running_mean": (3,)}, r"bn\.running_mean \(3,\) belong to no linear layer"),
        ({k: v for k, v in GRU.items() if k[:2] != "fc"}, "there is no readout"),
        ({k: v for k, v in GRU.items() if k != "rnn.weight_ih_l0"}, r"rnn\.weight_ih_l0 is missing"),
        ({**GRU, "rnn.weight_ih_l2": (9, 3)}, r"rnn\.weight_hh_l2 is missing|missing"),
        ({**GRU, "rnn.bias_hh_l0": (8,)}, r"rnn\.bias_hh_l0 is \(8,\), and \(9,\) would fit"),
        ({**GRU, "rnn.weight_hh_l0": (6, 3)}, "neither an Elman network's"),
        ({**GRU, "rnn.weight_ih_l0_reverse": (9, 1)}, "not bidirectional"),
        ({**GRU, "rnn.weight_hr_l0": (2, 3)}, "without proj_size"),
        ({**GRU, **{k.replace("rnn", "other"): v for k, v in GRU.items() if "rnn" in k}}, "several recurrent parts"),
        ({**GRU, "fa.weight": (3, 3), "fb.weight": (3, 3)}, "order of these layers cannot be told from their names"),
    ],
)
def test_tensors_that_fit_nothing_are_named(tmp_path: Path, shapes: dict[str, tuple[int, ...]], said: str) -> None:
    path = state(tmp_path / "net.pt", {name: torch.zeros(shape) for name, shape in shapes.items()}, {})
    with pytest.raises(CallError, match=said) as caught:
        load_model(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hidden": 4}, "hidden is 4 in the configuration and 3 in the weights"),
        ({"hidden": 3, "architecture": "lstm", "layers": 2}, "architecture is lstm .* gru .*; layers is 2 .* and 1"),
        ({"architecture": "transformer"}, "unknown architecture 'transformer'; one of elman, rnn, gru, lstm"),
        ({"hiden": 3}, "unknown field 'hiden'; did you mean 'hidden'"),
        ({"hidden": "three"}, "not that of a recurrent network.*for example"),
        ({"readout": "softmax"}, r"not that of a recurrent network \(.*softmax"),
        ({"readout": "classes"}, "which are not the logits of 1 times two or more classes"),
        ({"outputs": 2}, "which are not the logits of 2 times|outputs is 2"),
        ({"inputs": 2}, "neither 2 as they are, nor 2 times 2 one-hot"),
        ({"coding": "embedding"}, "no embedding among the weights"),
        ({"coding": "one-hot", "high": 3}, "neither 1 as they are, nor 1 times 4 one-hot"),
        ({"low": 3}, "high=1 is below low=3"),
        ({"length": 0}, "length is 0"),
        ({"order": "xh"}, "order is for networks of the form"),
    ],
)
def test_a_configuration_that_does_not_fit_is_told(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    path = state(tmp_path / "net.pt", made("gru", 1, 3, 1).state_dict(), config)
    with pytest.raises(CallError, match=said):
        load_model(str(path))
    with pytest.raises(CallError, match=said):
        inspect_model(str(path))


def test_what_shapes_leave_open_has_to_be_written_and_an_example_is_given(tmp_path: Path) -> None:
    path = state(tmp_path / "net.pt", made("gru", 2, 3, 2).state_dict())
    with pytest.raises(CallError) as caught:
        load_model(str(path))
    sentence = str(caught.value)
    assert "the configuration net.json is missing, and without it the readout gives 2 numbers" in sentence
    example = json.loads(sentence[sentence.index("{") : sentence.rindex("}") + 1])
    assert {"hidden", "inputs", "low", "high", "length", "readout"} <= set(example)
    path.with_suffix(".json").write_text(json.dumps(example))
    model = loaded(path)
    assert (model.inputs, model.outputs) == (2, 1)


def test_the_card_is_made_from_shapes_alone(tmp_path: Path) -> None:
    net = made("lstm", 2, 3, 2, num_layers=2)
    config = {"coding": "one-hot", "readout": "classes", "length": 12}
    rows = dict(inspect_model(str(state(tmp_path / "net.pt", net.state_dict(), config)), device="cpu").rows)
    assert rows["architecture"] == "lstm"
    assert rows["shape"] == "LSTM, 3 hidden in 2 layers, 1 in (0..1, one-hot), 1 out, the largest of 2 logits"
    assert rows["parameters"] == f"{sum(p.numel() for p in net.parameters()):,}"
    assert rows["sequences"] == "of length 12"
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    assert dict(inspect_model(str(tmp_path / "net.safetensors"), device="cpu").rows)["shape"] == rows["shape"]


def test_the_configuration_counts_as_part_of_the_file(tmp_path: Path) -> None:
    path = state(tmp_path / "net.pt", made("gru", 1, 3, 1).state_dict(), {"length": 5})
    before = fingerprint(path)
    path.with_suffix(".json").write_text('{"length": 6}')
    assert fingerprint(path) != before


def test_the_nearest_state_dict_is_suggested(tmp_path: Path) -> None:
    state(tmp_path / "parity.pt", made("gru", 1, 3, 1).state_dict())
    with pytest.raises(CallError, match=r"did you mean 'parity\.pt'"):
        load_model(str(tmp_path / "partiy.pt"))
    with pytest.raises(CallError, match=r"weight processing .* is for transformers"):
        load_model(str(tmp_path / "parity.pt"), processing=WeightProcessing(fold_ln=True))
