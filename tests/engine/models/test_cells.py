"""Recurrent networks of any cell against torch's own modules, and one step of each against its published equations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from engine.models.cells import CellRnn, as_mips, why_not_mips
from engine.models.loading import load_model, reload
from engine.models.rnn import MipsRnn
from sessions.errors import CallError, IwbError

CELLS: dict[str, Any] = {
    "elman": torch.nn.RNN,
    "relu": lambda *sizes, **more: torch.nn.RNN(*sizes, nonlinearity="relu", **more),
    "gru": torch.nn.GRU,
    "lstm": torch.nn.LSTM,
}


class Net(torch.nn.Module):
    """As people write them."""

    def __init__(self, kind: str, width: int, hidden: int, outputs: int, **settings: Any) -> None:
        super().__init__()
        self.rnn = CELLS[kind](width, hidden, batch_first=True, **settings)
        self.fc = torch.nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(x)[0])  # type: ignore[no-any-return]


def made(kind: str, width: int, hidden: int, outputs: int, **settings: Any) -> Net:
    torch.manual_seed(7)
    net = Net(kind, width, hidden, outputs, **settings)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-1.5, 1.5)  # far enough from linear for a wrong gate to show
    return net.eval()


def saved(net: torch.nn.Module, path: Path, **config: Any) -> str:
    torch.save(net.state_dict(), path)
    path.with_suffix(".json").write_text(json.dumps({"family": "rnn", **config}))
    return str(path)


def cells(source: str, **settings: str) -> CellRnn:
    model = load_model(source, device="cpu", **settings)  # type: ignore[arg-type]
    assert isinstance(model, CellRnn)
    return model


@pytest.mark.parametrize("bias", [True, False], ids=["biases", "no biases"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", list(CELLS))
def test_a_run_is_torchs_own(tmp_path: Path, kind: str, layers: int, bias: bool) -> None:
    net = made(kind, 2, 5, 3, num_layers=layers, bias=bias)
    said = {"nonlinearity": "relu"} if kind == "relu" else {}
    model = cells(saved(net, tmp_path / "net.pt", outputs=3, **said))
    x = torch.randint(-3, 4, (6, 9, 2)).float()
    hidden, y = model.run(x)
    top, last = net.rnn(x)
    torch.testing.assert_close(y, net(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(hidden[..., 5 * (layers - 1) : 5 * layers], top, rtol=1e-5, atol=1e-6)
    parts = torch.cat(last if isinstance(last, tuple) else (last,))  # every layer's h, then an LSTM's every c
    torch.testing.assert_close(hidden[:, -1], parts.permute(1, 0, 2).flatten(1), rtol=1e-5, atol=1e-6)
    assert model.hidden == hidden.shape[2] == 5 * layers * (2 if kind == "lstm" else 1)


@pytest.mark.parametrize("kind", list(CELLS))
def test_one_step_after_another_is_a_run(tmp_path: Path, kind: str) -> None:
    said = {"nonlinearity": "relu"} if kind == "relu" else {}
    model = cells(saved(made(kind, 1, 4, 1, num_layers=2), tmp_path / "net.pt", **said))
    x = torch.randint(0, 2, (5, 7, 1)).float()
    hidden, y = model.run(x)
    h = torch.zeros(5, model.hidden)
    for t in range(7):
        h = model.step(h, x[:, t])
        torch.testing.assert_close(h, hidden[:, t])
        torch.testing.assert_close(model.readout(h), y[:, t])
    assert model.step(h[:1], x[:1, 0]).shape == (1, model.hidden)  # a batch of one


def test_a_gru_and_an_lstm_step_as_their_equations_say(tmp_path: Path) -> None:
    x, h, c = torch.tensor([[2.0]]), torch.tensor([[0.3, -0.7]]), torch.tensor([[1.1, -0.4]])
    gru = made("gru", 1, 2, 1)
    w, u, b, d = (getattr(gru.rnn, f"{what}_l0") for what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    wr, wz, wn = (x @ part.T for part in w.chunk(3))
    ur, uz, un = (h @ part.T for part in u.chunk(3))
    (br, bz, bn), (dr, dz, dn) = b.chunk(3), d.chunk(3)
    r, z = torch.sigmoid(wr + br + ur + dr), torch.sigmoid(wz + bz + uz + dz)
    n = torch.tanh(wn + bn + r * (un + dn))
    torch.testing.assert_close(cells(saved(gru, tmp_path / "gru.pt")).step(h, x), (1 - z) * n + z * h)
    lstm = made("lstm", 1, 2, 1)
    w, u, b, d = (getattr(lstm.rnn, f"{what}_l0") for what in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    i, f, g, o = (x @ w.T + b + h @ u.T + d).chunk(4, dim=1)
    after = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    stepped = cells(saved(lstm, tmp_path / "lstm.pt")).step(torch.cat([h, c], dim=1), x)
    torch.testing.assert_close(stepped, torch.cat([torch.sigmoid(o) * torch.tanh(after), after], dim=1))


@pytest.mark.parametrize("streams", [1, 2])
def test_one_hot_inputs_are_coded_from_the_lowest(tmp_path: Path, streams: int) -> None:
    net = made("gru", 4 * streams, 3, 1)
    model = cells(saved(net, tmp_path / "net.pt", coding="one-hot", inputs=streams, low=-1, high=2))
    assert model.inputs == streams
    x = torch.randint(-1, 3, (8, 5, streams))
    fed = torch.zeros(8, 5, 4 * streams)
    for k in range(streams):
        fed.scatter_(2, x[..., k : k + 1] + 1 + 4 * k, 1.0)
    torch.testing.assert_close(model.run(x.float())[1], net(fed), rtol=1e-5, atol=1e-6)
    with pytest.raises(CallError, match=r"the input 3 is outside -1\.\.2"):
        model.step(torch.zeros(1, 3), torch.full((1, streams), 3.0))
    with pytest.raises(CallError, match="the input -2 is outside"):
        model.run(torch.full((1, 2, streams), -2.0))


def test_embedded_inputs_are_looked_up(tmp_path: Path) -> None:
    class Embedded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.lstm = torch.nn.Embedding(6, 3), torch.nn.LSTM(3, 4, batch_first=True)
            self.out = torch.nn.Linear(4, 5)

    torch.manual_seed(0)
    net = Embedded()
    model = cells(saved(net, tmp_path / "net.pt", readout="classes", low=1))
    assert (model.low, model.high, model.inputs, model.outputs) == (1, 5, 1, 1)
    x = torch.randint(1, 6, (8, 5, 1))
    logits = net.out(net.lstm(net.embedding(x[..., 0]))[0])
    torch.testing.assert_close(model.logits(model.run(x)[0]), logits, rtol=1e-5, atol=1e-6)
    assert model.run(x)[1][..., 0].equal(logits.argmax(dim=-1).float())
    with pytest.raises(CallError, match=r"outside 0\.\.5"):
        model.run(torch.full((1, 1, 1), 6.0))


def test_classes_and_signs_become_numbers_to_round(tmp_path: Path) -> None:
    net = made("gru", 1, 4, 6)
    x = torch.randint(0, 2, (9, 5, 1)).float()
    logits = net(x)
    model = cells(saved(net, tmp_path / "net.pt", readout="classes", first_class=-2))
    assert model.outputs == 1
    assert model.run(x)[1][..., 0].equal(logits.argmax(dim=-1) - 2.0)
    pairs = cells(saved(net, tmp_path / "net.pt", readout="classes", outputs=2))
    assert pairs.run(x)[1].equal(torch.stack([part.argmax(dim=-1).float() for part in logits.split(3, dim=-1)], dim=-1))
    signs = cells(saved(net, tmp_path / "net.pt", readout="signs"))
    assert signs.run(x)[1].equal((torch.sigmoid(logits) > 0.5).float())
    coarse = cells(saved(net, tmp_path / "net.pt", readout="classes", first_class=1000), dtype="bfloat16")
    assert set(coarse.run(x)[1].unique().tolist()) <= set(range(1000, 1006))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_readout_of_several_layers_has_its_activation(tmp_path: Path, activation: str) -> None:
    between = torch.nn.ReLU() if activation == "relu" else torch.nn.Tanh()
    torch.manual_seed(2)
    rnn = torch.nn.GRU(1, 4, batch_first=True)
    head = torch.nn.Sequential(torch.nn.Linear(4, 7), between, torch.nn.Linear(7, 7, bias=False), between)
    head.append(torch.nn.Linear(7, 1))
    net = torch.nn.ModuleDict({"rnn": rnn, "head": head})
    x = torch.randint(-2, 3, (4, 6, 1)).float()
    model = cells(saved(net, tmp_path / "net.pt", activation=activation))
    torch.testing.assert_close(model.run(x)[1], head(rnn(x)[0]), rtol=1e-5, atol=1e-6)
    assert model.config.g == (7, 7)


def test_another_number_format_is_taken(tmp_path: Path) -> None:
    model = cells(saved(made("lstm", 1, 4, 1, num_layers=2), tmp_path / "net.pt"), dtype="bfloat16")
    assert model.handle.dtype == "bfloat16"
    assert model.run(torch.ones(2, 3, 1))[0].dtype == torch.bfloat16


def test_a_mips_network_fed_one_hot_and_read_as_classes_is_of_this_kind(tmp_path: Path) -> None:
    torch.manual_seed(1)
    f = torch.nn.Sequential(torch.nn.Linear(2 + 3, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    g = torch.nn.Linear(2, 3)
    net = torch.nn.ModuleDict({"f": f, "g": g})
    model = cells(saved(net, tmp_path / "net.pt", coding="one-hot", readout="classes", high=2))
    x = torch.randint(0, 3, (5, 4, 1))
    h = torch.zeros(5, 2)
    hidden, y = model.run(x)
    for t in range(4):
        h = f(torch.cat([h, torch.nn.functional.one_hot(x[:, t, 0], 3)], dim=1))
        torch.testing.assert_close(hidden[:, t], h)
        assert y[:, t, 0].equal(g(h).argmax(dim=-1).float())
    assert model.handle.architecture == "mlp-rnn"
    assert "inputs are one-hot" in why_not_mips(model)


def test_an_elman_network_with_relu_has_the_mips_form_and_others_say_why_not(tmp_path: Path) -> None:
    net = made("relu", 2, 4, 1)
    model = cells(saved(net, tmp_path / "net.pt", nonlinearity="relu"))
    same = as_mips(model)
    assert isinstance(same, MipsRnn)
    assert why_not_mips(model) == ""
    assert as_mips(same) is same
    x = torch.randint(-2, 3, (5, 4, 2)).float()
    torch.testing.assert_close(same.run(x), model.run(x), rtol=1e-5, atol=1e-5)
    reasons = {
        "this is a GRU": (made("gru", 1, 4, 1), {}),
        "this is an LSTM": (made("lstm", 1, 4, 1), {}),
        "an Elman network with tanh": (made("elman", 1, 4, 1), {}),
        "of 2 layers": (made("relu", 1, 4, 1, num_layers=2), {"nonlinearity": "relu"}),
        "outputs are classes": (made("relu", 1, 4, 2), {"nonlinearity": "relu", "readout": "classes"}),
    }
    for reason, (other, said) in reasons.items():
        model = cells(saved(other, tmp_path / "net.pt", **said))
        assert reason in why_not_mips(model)
        assert as_mips(model) is None


def test_the_handle_says_what_it_is_and_finds_the_same_network_again(tmp_path: Path) -> None:
    net = made("lstm", 2, 3, 2, num_layers=2)
    source = saved(net, tmp_path / "mine.pt", inputs=2, outputs=2, low=-1, high=1, length=7, task="Mine")
    model = cells(source)
    handle = model.handle
    assert (handle.family, handle.architecture, handle.title) == ("rnn", "lstm", "LSTM Mine")
    assert handle.parameters == sum(p.numel() for p in net.parameters())
    assert handle.summary.startswith("LSTM, 3 hidden in 2 layers, 2 in (-1..1), 2 out; ")
    assert (model.task, model.low, model.high, model.length, model.hidden) == ("Mine", -1, 1, 7, 12)
    assert json.loads(json.dumps(handle.config)) == handle.config
    again = reload(msgspec.json.decode(msgspec.json.encode(handle), type=type(handle)))
    assert again.run(torch.ones(1, 3, 2))[1].equal(model.run(torch.ones(1, 3, 2))[1])  # type: ignore[union-attr]
    saved(net, tmp_path / "mine.pt", inputs=2, outputs=2, low=-1, high=2, length=7, task="Mine")
    with pytest.raises(IwbError, match="configuration has changed"):
        reload(handle)
    saved(made("lstm", 2, 3, 2, num_layers=2, bias=False), tmp_path / "mine.pt", outputs=2)
    with pytest.raises(IwbError, match="not those of the recorded model"):
        reload(handle)
