"""Network, automaton and program side by side, against each taken by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from engine.models.loading import load_model
from engine.operations import describe, parse
from engine.synthesis.operations import OPERATIONS
from engine.synthesis.programs.stepping import machine_steps
from engine.synthesis.programs.stepping_operations import MOST_HIDDEN, step_program
from sessions.artifacts import Edge, Graph, Node, Program, Table
from sessions.codec import decode, encode
from sessions.errors import CallError
from tests.engine.models.test_cells import made, saved
from tests.engine.synthesis.conftest import Desk, bundled

STEP = next(o for o in OPERATIONS if o.name == "synthesis.step")
ADDITION = """
def f(s, t):
    ys = []
    c = 0
    for p, q in zip(s, t):
        y = p ^ q ^ c
        c = (p + q + c) // 2
        ys.append(y)
    return ys
"""
CARRY = Graph(
    title="carry",
    nodes=(Node(id="0", label="c=0", layer=0, accepting=True), Node(id="1", label="c=1", layer=1)),
    edges=(
        Edge(source="0", target="0", label="00/0, 01/1, 10/1"),
        Edge(source="0", target="1", label="11/0"),
        Edge(source="1", target="1", label="01/0, 10/0, 11/1"),
        Edge(source="1", target="0", label="00/1"),
    ),
    layout="automaton",
)


class Bench(Desk):
    """A desk with a program (@1) and an automaton (@2)."""

    def __init__(self, model: Any, program: Program, graph: Graph | None = None) -> None:
        super().__init__(model)
        self.artifacts = {"@1": program, "@2": graph}

    def artifact(self, ref: str) -> Any:
        return self.artifacts[ref]


def stepped(desk: Bench, inputs: list[Any], **more: Any) -> Table:
    params = parse(STEP, {"program": "@1", "model": "@9", "inputs": inputs, **more})
    (table,) = step_program(params, desk)  # type: ignore[arg-type]
    assert isinstance(table, Table)
    again = decode(encode(table))
    assert isinstance(again, Table)
    assert again.rows == table.rows
    assert {len(row) for row in table.rows} == {len(table.columns)}
    return again


def column(table: Table, name: str) -> list[Any]:
    at = [c.name for c in table.columns].index(name)
    return [row[at] for row in table.rows]


def test_all_three_move_together_on_binary_addition() -> None:
    model = bundled("Binary_Addition")
    s, t = [1, 1, 0, 1], [1, 0, 0, 0]
    table = stepped(Bench(model, Program(title="p", source=ADDITION), CARRY), [s, t], machine="@2")
    total = sum(bit << k for k, bit in enumerate(s)) + sum(bit << k for k, bit in enumerate(t))
    digits = [total >> k & 1 for k in range(4)]
    assert column(table, "network output") == column(table, "program output") == digits
    assert [int(word) for word in column(table, "automaton output")] == digits
    assert column(table, "state") == [f"c={c}" for c in column(table, "c")] == ["c=1", "c=1", "c=0", "c=0"]
    assert column(table, "agree") == [True] * 4
    assert (column(table, "p"), column(table, "q")) == (s, t)
    hidden, raw = model.run(torch.tensor([[*zip(s, t, strict=True)]], dtype=torch.float32))
    np.testing.assert_allclose(table.facts["exact"]["hidden"], hidden[0], rtol=1e-6)
    np.testing.assert_allclose(table.facts["exact"]["raw"], raw[0], rtol=1e-6)
    assert column(table, "h1") == [round(v, 4) for v in hidden[0, :, 0].tolist()]
    roles = table.facts["roles"]
    assert (roles["input"], roles["variable"]) == (["p", "q"], ["c", "y"])
    assert roles["hidden"] == [f"h{k + 1}" for k in range(model.hidden)]
    assert sorted(name for names in roles.values() for name in names) == sorted(c.name for c in table.columns)
    assert "agree at every one" in table.summary


def test_where_they_differ_is_said() -> None:
    wrong = ADDITION.replace("// 2", "// 3")
    table = stepped(Bench(bundled("Binary_Addition"), Program(title="p", source=wrong)), [[1, 1, 0], [1, 0, 0]])
    assert column(table, "agree") == [True, False, False]
    assert table.facts["agree"] == 1
    assert "they differ first at position 2" in table.summary
    assert "state" not in table.facts["roles"]


def test_of_a_classifier_the_logits_are_shown_and_of_many_hidden_numbers_the_first(tmp_path: Path) -> None:
    net = made("lstm", 1, 40, 3)
    model = load_model(saved(net, tmp_path / "net.pt", readout="classes"), device="cpu")
    program = Program(
        title="p", source="def f(s):\n    ys = []\n    for x in s:\n        ys.append(x)\n    return ys\n"
    )
    table = stepped(Bench(model, program), [0, 1, 1])
    logits = net(torch.tensor([[[0.0], [1.0], [1.0]]]))[0].detach()
    np.testing.assert_allclose(table.facts["exact"]["raw"], logits, rtol=1e-5, atol=1e-6)
    assert column(table, "network output") == logits.argmax(dim=1).tolist()
    assert [c.name for c in table.columns if c.type == "float" and c.name.startswith("h")] == [
        f"h{k + 1}" for k in range(MOST_HIDDEN)
    ]
    assert np.shape(table.facts["exact"]["hidden"]) == (3, 80)
    assert "64 of 80 hidden numbers shown" in table.summary


def test_a_variable_that_is_called_as_a_column_is_told_apart() -> None:
    loop = "for state in s:\n        h1 = h1 ^ state\n        ys.append(h1)"
    source = f"def f(s):\n    h1 = 0\n    ys = []\n    {loop}\n    return ys\n"
    table = stepped(Bench(bundled("Parity_All"), Program(title="p", source=source)), [1, 1, 0])
    assert table.facts["roles"]["variable"] == ["h1 (program)"]
    assert table.facts["roles"]["input"] == ["state (program)"]
    assert column(table, "h1 (program)") == column(table, "program output") == [1, 0, 0]


def test_an_automaton_is_followed_as_far_as_it_is_known() -> None:
    x = np.array([[[12, -1], [3, 4], [0, 0]]])
    graph = Graph(
        title="some",
        nodes=(Node(id="a", label="A", layer=0, accepting=True), Node(id="b", label="B", layer=1)),
        edges=(Edge(source="a", target="b", label="0,0/5, 12,-1/-7"), Edge(source="b", target="a", label="34/1,12")),
        layout="automaton",
    )
    steps = machine_steps(graph, x)
    assert steps.states == ["B", "A", "B"]
    assert steps.written == [(-7,), (1, 12), (5,)]
    lost = machine_steps(graph, x[:, [1, 0]])
    assert (lost.states, lost.written) == (["", ""], [None, None])
    single = msgspec.structs.replace(graph, edges=(Edge(source="a", target="a", label="-3/0, 12/1"),))
    assert machine_steps(single, np.array([[[12], [-3]]])).written == [(1,), (0,)]


@pytest.mark.parametrize(
    ("inputs", "more", "said"),
    [
        ([0, 1], {}, "the network takes 2 sequences, not 1; write one list per sequence"),
        ([[0], [1], [1]], {}, "the network takes 2 sequences, not 3"),
        ([[0, 1], [1, 0]], {"machine": "@1"}, "@1 is not a graph"),
    ],
)
def test_what_does_not_belong_together_is_told(inputs: list[Any], more: dict[str, str], said: str) -> None:
    with pytest.raises(CallError, match=said):
        stepped(Bench(bundled("Binary_Addition"), Program(title="p", source=ADDITION), CARRY), inputs, **more)


def test_a_program_or_automaton_of_another_network_is_told() -> None:
    program = Program(title="p", source=ADDITION)
    with pytest.raises(CallError, match="the program takes 2 sequences, not 1"):
        stepped(Bench(bundled("Parity_All"), program), [0, 1])
    two = Program(title="p", source=ADDITION.replace("ys.append(y)", "ys.append((y, c))"))
    with pytest.raises(CallError, match="the network gives 1 numbers at a position, the program 2"):
        stepped(Bench(bundled("Binary_Addition"), two), [[0], [1]])
    one = msgspec.structs.replace(CARRY, edges=(Edge(source="0", target="0", label="0/1"),))
    with pytest.raises(CallError, match="transition '0' does not read 2 numbers"):
        stepped(Bench(bundled("Binary_Addition"), program, one), [[0], [1]], machine="@2")
    flat = msgspec.structs.replace(CARRY, layout="layers")
    with pytest.raises(CallError, match="carry is not an automaton"):
        stepped(Bench(bundled("Binary_Addition"), program, flat), [[0], [1]], machine="@2")


def test_the_form_asks_for_references() -> None:
    fields = {field.name: field for field in describe(STEP).fields}
    assert [fields[name].kind for name in ("program", "model", "machine")] == ["program", "model", "graph"]
    assert fields["machine"].optional
    assert not fields["machine"].required
    assert STEP.interactive
