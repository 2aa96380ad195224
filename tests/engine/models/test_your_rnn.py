"""A network that a person trained in plain PyTorch, from its file to its program, step by step and again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Call, iwb
from tests.engine.models.test_cells import Net

__all__ = ["iwb"]  # the fixture


def trained(kind: str, target: Callable[[torch.Tensor], torch.Tensor], *, steps: int, hidden: int = 4) -> Net:
    """A classifier of bits, exact on every sequence of length 8."""
    torch.manual_seed(0)
    net = Net(kind, 1, hidden, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(steps):
        x = torch.randint(0, 2, (64, 8, 1)).float()
        loss = torch.nn.functional.cross_entropy(net(x).flatten(0, 1), target(x[..., 0].long()).flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    every = torch.tensor([[n >> k & 1 for k in range(8)] for n in range(256)])
    assert net(every[..., None].float()).argmax(dim=-1).equal(target(every)), "it did not learn its task"
    return net


def parity(bits: torch.Tensor) -> torch.Tensor:
    return bits.cumsum(dim=1) % 2


def test_a_network_written_by_hand_becomes_the_program_it_is(iwb: Call, tmp_path: Path) -> None:
    """The first hidden number holds the bit, the second the bit before; nothing at first, which ties and gives 0."""
    tensors = {
        "rnn.weight_ih_l0": torch.tensor([[20.0], [0.0]]),
        "rnn.weight_hh_l0": torch.tensor([[0.0, 0.0], [10.0, 0.0]]),
        "rnn.bias_ih_l0": torch.tensor([-10.0, 0.0]),
        "rnn.bias_hh_l0": torch.zeros(2),
        "fc.weight": torch.tensor([[0.0, -1.0], [0.0, 1.0]]),
    }
    torch.save(tensors, tmp_path / "shift.pt")
    (tmp_path / "shift.json").write_text('{"readout": "classes", "length": 6}')
    done = iwb("run", "p.iwb", "synthesis.extract", "model=shift.pt", "--json").json()
    of = {a["kind"]: a["id"] for a in done["artifacts"]}
    program = iwb("show", "p.iwb", f"@{of['program']}", "--json").json()
    (verdict,) = program["verdicts"]
    assert (verdict["agreed"], verdict["tested"]) == (64, 64)
    assert len(iwb("show", "p.iwb", f"@{of['graph']}", "--json").json()["nodes"]) == 2
    references = [f"program=@{of['program']}", "model=@1", f"machine=@{of['graph']}"]
    table = iwb("run", "p.iwb", "synthesis.step", *references, "inputs=[1,0,1,1,0,0]", "--json").json()
    rows = iwb("show", "p.iwb", f"@{table['artifacts'][0]['id']}", "--json").json()
    at = {column["name"]: k for k, column in enumerate(rows["columns"])}
    for name in ("network output", "program output", "automaton output"):
        assert [int(row[at[name]]) for row in rows["rows"]] == [0, 1, 0, 1, 1, 0]


@pytest.mark.slow
def test_a_gru_that_learned_parity_becomes_a_program_and_a_machine_of_two_states(iwb: Call, tmp_path: Path) -> None:
    net = trained("gru", parity, steps=350)
    torch.save(net.state_dict(), tmp_path / "parity.pt")
    (tmp_path / "parity.json").write_text(json.dumps({"family": "rnn", "readout": "classes", "length": 8}))
    done = iwb("run", "p.iwb", "synthesis.extract", "model=parity.pt", "--json").json()
    of = {a["kind"]: a["id"] for a in done["artifacts"]}
    program = iwb("show", "p.iwb", f"@{of['program']}", "--json").json()
    (verdict,) = program["verdicts"]
    assert (verdict["agreed"], verdict["tested"], verdict["exhaustive"]) == (256, 256, True)
    graph = iwb("show", "p.iwb", f"@{of['graph']}", "--json").json()
    assert len(graph["nodes"]) == 2
    assert sorted((e["source"] == e["target"], e["label"]) for e in graph["edges"]) == [
        (False, "1/0"), (False, "1/1"), (True, "0/0"), (True, "0/1"),
    ]  # fmt: skip
    references = [f"program=@{of['program']}", "model=@1", f"machine=@{of['graph']}"]
    table = iwb("run", "p.iwb", "synthesis.step", *references, "inputs=[1,0,1,1,0,0,1]", "--json").json()
    rows = iwb("show", "p.iwb", f"@{table['artifacts'][0]['id']}", "--json").json()
    at = {column["name"]: k for k, column in enumerate(rows["columns"])}
    for name in ("network output", "program output", "automaton output"):
        assert [int(row[at[name]]) for row in rows["rows"]] == [1, 1, 0, 1, 1, 1, 0]
    replayed = iwb("replay", "p.iwb", "--json")
    assert replayed.status == 0, replayed.out + replayed.err


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "steps"), [("lstm", 400), ("relu", 1500)])
def test_other_cells_become_programs_too(iwb: Call, tmp_path: Path, kind: str, steps: int) -> None:
    net = trained(kind, lambda bits: bits & bits.roll(1, dims=1) & (torch.arange(8) > 0), steps=steps)
    torch.save(net.state_dict(), tmp_path / "both.pt")
    said = {"family": "rnn", "readout": "classes", "length": 8, "nonlinearity": "relu" if kind == "relu" else "tanh"}
    (tmp_path / "both.json").write_text(json.dumps(said))
    done = iwb("run", "p.iwb", "synthesis.extract", "model=both.pt", "--json").json()
    program = next(a for a in done["artifacts"] if a["kind"] == "program")
    (verdict,) = iwb("show", "p.iwb", f"@{program['id']}", "--json").json()["verdicts"]
    assert (verdict["agreed"], verdict["tested"]) == (256, 256)
