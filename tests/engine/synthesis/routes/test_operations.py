"""From a bundled network to a checked program, as a person calls it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from engine.operations import describe, parse
from engine.synthesis.checks.agreement import compare
from engine.synthesis.domain import Domain
from engine.synthesis.operations import OPERATIONS
from engine.synthesis.programs.emission import description_length
from engine.synthesis.programs.operations import RunParams, run_program
from engine.synthesis.routes.automaton import find_automaton
from engine.synthesis.routes.operations import extract_program
from sessions.artifacts import Graph, Points, Program, Table
from sessions.codec import decode, encode
from sessions.errors import CallError, IwbError
from tests.engine.synthesis.conftest import Desk, MachineNetwork, bundled, machine_of, random_machine

EXTRACT, RUN = (next(o for o in OPERATIONS if o.name == f"synthesis.{name}") for name in ("extract", "run"))


def extract(desk: Any, **values: Any) -> tuple[Program, Graph, Points]:
    given = extract_program(parse(EXTRACT, {"model": "@1", **values}), desk)  # type: ignore[arg-type]
    for artifact in given:
        assert decode(encode(artifact)).title == artifact.title
        assert artifact.facts["stage"] in ("weights", "normal form", "states", "machine", "formulas", "program")
    (program,) = (one for one in given if isinstance(one, Program))
    (graph,) = (one for one in given if isinstance(one, Graph))
    (points,) = (one for one in given if isinstance(one, Points))
    return program, graph, points


@pytest.mark.parametrize(
    ("name", "states", "total", "lines"),
    [
        ("Binary_Addition", 2, 2**20, ["y = p ^ q ^ c", "c = (p + q + c) // 2"]),
        ("Parity_All", 2, 1024, ["c = x ^ c"]),
        ("Parity_Last3", 4, 1024, []),
        ("Bit_Dot_Prod_Mod2", 2, 2**20, ["c = p * q ^ c"]),
        ("Div_3", 3, 1024, []),
        ("Balanced_Parenthesis", 12, 1024, ["y = int(k == 0)"]),
    ],
)
def test_every_bundled_network_becomes_a_program_exact_on_all_inputs(
    name: str, states: int, total: int, lines: list[str]
) -> None:
    program, graph, points = extract(Desk(bundled(name)))
    assert [v.against for v in program.verdicts] == ["the network", "the task's target"]
    for verdict in program.verdicts:
        assert (verdict.agreed, verdict.tested, verdict.exhaustive) == (total, total, True)
        assert verdict.holds
    assert program.facts["contains a table"] is False
    for line in lines:
        assert line in program.source
    assert len(graph.nodes) == states == graph.facts["states after minimisation"]
    assert [node.accepting for node in graph.nodes] == [True] + [False] * (states - 1)
    assert len({(edge.source, edge.target) for edge in graph.edges}) == len(graph.edges)
    assert points.xy.shape[1] == 2
    assert points.colour is not None
    assert set(points.colour.tolist()) == set(range(states))


def test_a_counter_says_how_far_it_is_known() -> None:
    program, _, _ = extract(Desk(bundled("Balanced_Parenthesis")))
    assert program.facts["automaton"] == "open: known for up to 10 inputs"
    assert "up to 10 elements only" in program.source
    assert extract(Desk(bundled("Div_3")))[0].facts["automaton"].startswith("closed")


def test_the_name_of_the_task_changes_no_program() -> None:
    model = bundled("Div_3")
    named = extract(Desk(model))[0]
    model.task = ""
    nameless = extract(Desk(model))[0]
    assert named.source == nameless.source
    assert [v.against for v in nameless.verdicts] == ["the network"]


class Scrambled:
    """The parity of a network that never returns to a state: each prefix lies somewhere else, in no order."""

    handle, task, hidden, inputs, outputs = None, "", 1, 1, 1
    low, high, length = 0, 1, 7
    places = np.concatenate([[0], 1 + np.random.default_rng(0).permutation(2**9)]).astype(np.float32)

    def _prefix(self, h: torch.Tensor) -> np.ndarray:
        return np.argsort(self.places)[h[:, 0].numpy().astype(int)]

    def step(self, h: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.places[2 * self._prefix(h) + 1 + x[:, 0].long().numpy()])[:, None]

    def readout(self, h: torch.Tensor) -> torch.Tensor:
        return torch.tensor([float((int(p) + 1).bit_count() - 1) % 2 for p in self._prefix(h)])[:, None]

    def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h, found = torch.zeros(len(x), 1), []
        for t in range(x.shape[1]):
            h = self.step(h, x[:, t])
            found.append(h)
        return torch.stack(found, 1), torch.stack([self.readout(h) for h in found], 1)


def test_states_that_distance_cannot_tell_apart_are_merged_by_what_follows_them() -> None:
    program, graph, _ = extract(Desk(Scrambled()), length=7, max_states=8)
    assert program.verdicts[0].holds
    assert len(graph.nodes) == 2
    assert graph.facts["states told apart by"] == "what follows them"
    assert graph.facts["automaton"] == "open: known for up to 7 inputs"
    with pytest.raises(IwbError, match="consistent clusters"):
        find_automaton(Scrambled(), Domain(1, 0, 1, 7), most_states=8, tolerance=2.0, rng=np.random.default_rng(0))


def test_a_machine_without_pattern_becomes_a_table_that_says_so() -> None:
    machine = random_machine(np.random.default_rng(5), 9, symbols=3)
    program, graph, _ = extract(Desk(MachineNetwork(machine)), length=6, high=2)
    assert program.facts["route"] == "automaton, table"
    assert program.facts["contains a table"] is True
    assert "table = {" in program.source
    assert program.verdicts[0].holds
    assert len(graph.nodes) == 9


def test_a_network_without_memory_becomes_a_program_without_state() -> None:
    machine = machine_of(lambda state, x: (0, x[0] & x[1]), 1, ((0, 0), (0, 1), (1, 0), (1, 1)))
    program, graph, _ = extract(Desk(MachineNetwork(machine)), length=3)
    assert "p * q" in program.source or "p & q" in program.source
    assert program.verdicts[0].holds
    assert len(graph.nodes) == 1


def test_an_interrupted_check_goes_on_where_it_stopped() -> None:
    whole = extract(Desk(bundled("Bit_Dot_Prod_Mod2")), length=9)[0]
    desk = Desk(bundled("Bit_Dot_Prod_Mod2"))
    desk.stop_at = "11 check"
    with pytest.raises(KeyboardInterrupt):
        extract(desk, length=9)
    assert len(desk.saved) == 3  # of four chunks
    desk.stop_at = None
    assert extract(desk, length=9)[0] == whole  # the desk asserts that no chunk is checked twice


def test_a_wrong_call_is_one_sentence() -> None:
    desk = Desk(bundled("Parity_All"))
    with pytest.raises(CallError, match="low"):
        extract(desk, low=3, high=1)
    with pytest.raises(IwbError, match=r"no program was found.*more than 256 different inputs"):
        extract(Desk(bundled("Binary_Addition")), high=100)
    with pytest.raises(IwbError, match=r"more than 2|at most 2"):
        find_automaton(bundled("Parity_Last3"), Domain(1, 0, 1, 10), most_states=2, rng=np.random.default_rng(0))
    with pytest.raises(CallError, match="tolerance"):
        parse(EXTRACT, {"model": "@1", "tolerance": "wide"})


def test_a_difference_is_given_as_a_sequence() -> None:
    x = np.array([[[0], [1]], [[1], [1]]])
    agreement = compare(x, np.array([[[0], [1]], [[1], [0]]]), np.array([[[0], [1]], [[1], [1]]]), "network")
    assert (agreement.agreed, agreement.tested) == (1, 2)
    assert agreement.difference == "1 1 at position 2: program 0, network 1"


def test_a_program_is_run_step_by_step() -> None:
    program = extract(Desk(bundled("Binary_Addition")))[0]
    (table,) = run_program(RunParams(program="@2", inputs=[[1, 1, 0], [1, 1, 0]]), Desk(artifact=program))
    assert isinstance(table, Table)
    names = [column.name for column in table.columns]
    outputs = [row[names.index("output")] for row in table.rows]
    assert outputs == [0, 1, 1]  # 3 + 3 = 6, least significant bit first
    assert [row[names.index("c")] for row in table.rows] == [1, 1, 0]
    assert [row[names.index("s[step]")] for row in table.rows] == [1, 1, 0]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([1, 0], "takes 2 sequences"),
        ([[1], [1, 0]], "differ"),
        ([1, [0]], "mixed"),
        ([], "empty"),
        ([[2**40], [1]], "2"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: list[Any], says: str) -> None:
    program = Program(
        title="p", source="def f(s, t):\n    ys = []\n    for p, q in zip(s, t):\n        ys.append(p)\n    return ys\n"
    )
    with pytest.raises(CallError, match=says):
        run_program(RunParams(program="@2", inputs=inputs), Desk(artifact=program))


def test_a_strangers_program_is_refused_not_run() -> None:
    program = Program(title="p", source="def f(s):\n    import os\n    return s\n")
    with pytest.raises(CallError, match="Import"):
        run_program(RunParams(program="@2", inputs=[1]), Desk(artifact=program))


def test_brackets_and_docstrings_do_not_count_as_description() -> None:
    assert description_length('def f(s):\n    """Words, words."""\n    y = (s + 1)  # why\n') == 2 + 1 + 5


def test_the_catalogue_part_loads_no_torch_and_makes_forms() -> None:
    assert {field.name for field in describe(EXTRACT).fields} >= {"model", "length", "tolerance", "max_states"}
    assert describe(RUN).fields[1].type == "list"
    code = "import sys; import engine.synthesis.operations; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


def test_beyond_a_million_sequences_a_sample_is_tested_and_said_to_be_one() -> None:
    program, _, _ = extract(Desk(bundled("Parity_All")), length=24)
    verdict = program.verdicts[0]
    assert verdict.holds
    assert (verdict.tested, verdict.exhaustive) == (2**17, False)
    assert verdict.domain == "131,072 random bit sequences of length 24"
