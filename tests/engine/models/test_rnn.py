"""The MIPS network against a loop over torch's own modules; loading; and the bundled ones against their tasks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.models.rnn import RnnConfig, load_rnn, mlp, unroll
from sessions.errors import CallError

ZOO = Path(__file__).parents[3] / "engine" / "models" / "zoo" / "rnn"


def random_weights(config: RnnConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) * 0.5 for name, shape in config.shapes().items()}


def as_modules(config: RnnConfig, weights: dict[str, torch.Tensor], part: str, depth: int) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for k in range(depth):
        weight = weights[f"{part}.{k}.weight"]
        linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight, "bias": weights[f"{part}.{k}.bias"]})
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


@pytest.mark.parametrize(("f", "g"), [((), ()), ((5,), ()), ((5, 4), (3,))])
def test_the_recurrence_is_that_of_the_paper(f: tuple[int, ...], g: tuple[int, ...]) -> None:
    config = RnnConfig(hidden=3, inputs=2, outputs=2, f=f, g=g)
    weights = random_weights(config)
    step, read = (as_modules(config, weights, part, len(widths) + 1) for part, widths in (("f", f), ("g", g)))
    x = torch.randn((4, 6, 2), generator=torch.Generator().manual_seed(1))
    states, outputs = unroll(weights, x)
    h = torch.zeros(4, 3)
    for t in range(6):
        h = step(torch.cat([h, x[:, t]], dim=1))
        torch.testing.assert_close(states[:, t], h)
        torch.testing.assert_close(outputs[:, t], read(h))


def test_networks_side_by_side_are_each_their_own() -> None:
    config = RnnConfig(hidden=2, inputs=1, f=(4,))
    singles = [random_weights(config, seed) for seed in range(3)]
    stacked = {name: torch.stack([one[name] for one in singles]) for name in singles[0]}
    x = torch.randn((5, 4, 1))
    together = torch.func.vmap(lambda w: unroll(w, x)[1])(stacked)
    for k, one in enumerate(singles):
        torch.testing.assert_close(together[k], unroll(one, x)[1])


def test_noise_is_added_to_the_state_and_carried_on() -> None:
    config = RnnConfig(hidden=1, inputs=1)
    weights = {"f.0.weight": torch.tensor([[2.0, 1.0]]), "f.0.bias": torch.zeros(1)}
    weights |= {"g.0.weight": torch.eye(1), "g.0.bias": torch.zeros(1)}
    assert set(weights) == set(config.shapes())
    noise = torch.tensor([[[0.5], [0.25]]])
    assert unroll(weights, torch.zeros(1, 2, 1), noise)[0].flatten().tolist() == [0.5, 1.25]


def test_loading_gives_the_same_network_and_a_full_handle(tmp_path: Path) -> None:
    config = RnnConfig(hidden=2, inputs=1, f=(3,), task="Mine")
    weights = random_weights(config)
    path = tmp_path / "mine.safetensors"
    save_file(weights, path)
    model = load_rnn(path, {"family": "rnn", "hidden": 2, "inputs": 1, "outputs": 1, "f": [3], "g": [], "task": "Mine"})
    x = torch.randn((2, 5, 1))
    torch.testing.assert_close(model.run(x)[1], unroll(weights, x)[1])
    h = model.step(torch.zeros(2, 2), x[:, 0])
    torch.testing.assert_close(h, model.run(x)[0][:, 0])
    torch.testing.assert_close(model.readout(h), mlp(weights, "g", h))
    assert (model.hidden, model.inputs, model.outputs, model.task) == (2, 1, 1, "Mine")
    handle = model.handle
    assert (handle.family, handle.architecture, handle.parameters) == ("rnn", "mips-rnn", 3 * 3 + 3 + 3 * 2 + 2 + 2 + 1)
    assert handle.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert json.loads(json.dumps(handle.config)) == handle.config


def test_every_tensor_that_does_not_fit_is_named_in_one_error(tmp_path: Path) -> None:
    weights = random_weights(RnnConfig(hidden=2, inputs=1, f=(3,)))
    del weights["g.0.bias"]
    weights["f.7.weight"] = torch.zeros(1)
    path = tmp_path / "bad.safetensors"
    save_file(weights, path)
    with pytest.raises(CallError) as caught:
        load_rnn(path, {"hidden": 2, "inputs": 1, "outputs": 1, "f": [4], "g": []})
    sentence = str(caught.value)
    assert "g.0.bias is missing" in sentence
    assert "f.7.weight is not part" in sentence
    assert "f.0.weight is (3, 3), not (4, 3)" in sentence
    assert "f.1.weight is (2, 3), not (2, 4)" in sentence


def test_what_is_no_rnn_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("not weights")
    config = {"hidden": 2, "inputs": 1, "f": [], "g": []}
    with pytest.raises(CallError, match="not a safetensors file"):
        load_rnn(path, config)
    with pytest.raises(CallError, match="cannot be read"):
        load_rnn(tmp_path / "absent.safetensors", config)
    with pytest.raises(CallError, match="hidden"):
        load_rnn(path, {"inputs": 1})


def test_other_precisions_are_taken_as_they_are() -> None:
    path = ZOO / "Parity_All.safetensors"
    config = json.loads(path.with_suffix(".json").read_text())
    single, double = load_rnn(path, config), load_rnn(path, config, dtype=torch.float64)
    assert double.handle.dtype == "float64"
    assert double.step(torch.zeros(1, 1), torch.ones(1, 1)).dtype == torch.float64
    x = torch.ones(1, 6, 1)
    torch.testing.assert_close(double.run(x)[1].float(), single.run(x)[1])
