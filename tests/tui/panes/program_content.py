"""A recurrent network turned into its program with every stage kept: the binary adder, by hand, in closed form."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from engine.operations import FieldInfo, OperationInfo
from sessions.artifacts import (
    AnyArtifact,
    Axis,
    Column,
    Edge,
    Graph,
    Matrix,
    Node,
    Points,
    Program,
    Proof,
    Table,
    Text,
    Verdict,
)

STEP = OperationInfo(
    name="synthesis.step", title="Step through an input", summary="Network, machine and program side by side.",
    gives=("table",), version=1, interactive=True,
    fields=(
        FieldInfo(name="program", type="artifact", kind="program", required=True, help="the program"),
        FieldInfo(name="inputs", type="list", required=True, help="the input sequence"),
    ),
)  # fmt: skip
ADDER = '''\
def f(s, t):
    """The automaton of a network with 2 hidden numbers: 2 states."""
    c = 0
    ys = []
    for p, q in zip(s, t):
        y = p ^ q ^ c
        c = (p + q + c) // 2
        ys.append(y)
    return ys
'''
# Another network's program: the same adder, with its carry the other way round.
OTHER = '''\
def f(s, t):
    """The automaton of a network with 3 hidden numbers: 2 states."""
    k = 1
    ys = []
    for p, q in zip(s, t):
        y = 1 - (p ^ q ^ k)
        k = 1 - (p + q + 1 - k) // 2
        ys.append(y)
    return ys
'''
FIRST, SECOND = (0, 1, 1, 0, 1, 1, 0, 0), (1, 1, 0, 1, 1, 0, 0, 1)
ORIGIN, BASIS = (-1.5, -0.25), ((0.75, 0.25), (0.0, 0.5))


def program(source: str = ADDER, proved: str = "proved", **facts: Any) -> Program:
    every: dict[str, Any] = {"exhaustive": True, "domain": "all 1,048,576 pairs of bit sequences of length 10"}
    claim = "equal to the task's specification on every input of every length"
    proofs = {
        "proved": Proof(claim=claim, status="proved", every_length=True, method="induction; invariant: 0 <= c <= 1"),
        "not proved": Proof(
            claim=claim, status="not proved", every_length=True,
            reason="no invariant was found that relates c to the carry",
        ),
    }  # fmt: skip
    return Program(
        title="Program Binary_Addition", source=source, summary="formulas, 2 states, 38 tokens",
        verdicts=(
            Verdict(against="the network", agreed=1_048_576, tested=1_048_576, **every),
            Verdict(against="the task's target", agreed=1_048_576, tested=1_048_576, **every),
        ),
        proofs=(proofs[proved],),
        facts={"stage": "program", "route": "formulas", "description length": "38 tokens", **facts},
    )  # fmt: skip


def weights(stage: str = "weights") -> Matrix:
    values = {
        "weights": [[0.41, -1.37, 0.88, 0.90, -0.12], [1.02, 0.05, -0.73, -0.70, 0.66]],
        "normal form": [[0.0, 0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]],
    }[stage]
    kept = {"preserved": "the outputs on all 1,024 sequences, to 1e-6"} if stage == "normal form" else {}
    return Matrix(
        title=stage.capitalize(), values=np.array(values), scale="diverging",
        axes=(Axis("new hidden", ("h1", "h2")), Axis("reads", ("h1", "h2", "p", "q", "bias"))),
        summary="f: 2 hidden numbers from 2 hidden, 2 inputs and the bias", facts={"stage": stage, **kept},
    )  # fmt: skip


def states() -> Points:
    """Points of the lattice with a little noise: each of the two carries in both columns of the lattice."""
    count = 12
    angle = np.arange(count) * 2.4
    ring = 0.03 * np.sqrt(np.arange(count) / count)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centres = [np.array(ORIGIN) + np.array(by) @ np.array(BASIS) for by in ((0, 0), (1, 1), (3, 0), (2, 2), (3, 3))]
    xy = np.round(np.concatenate([centre + ring for centre in centres]), 4)
    state = np.repeat([0.0, 0.0, 1.0, 1.0, 1.0], count)
    return Points(
        title="Hidden states Binary_Addition", xy=xy, colour=state, axis_names=("h1", "h2"),
        labels=tuple(f"state {int(s)}, after {i % 10} inputs" for i, s in enumerate(state)),
        summary="60 visited hidden states, coloured by 2 states",
        facts={"stage": "states", "lattice": {"origin": list(ORIGIN), "basis": [list(v) for v in BASIS]}},
    )  # fmt: skip


def machine() -> Graph:
    return Graph(
        title="Automaton Binary_Addition", summary="2 states, 8 transitions",
        nodes=(Node("0", "c=0", 0, accepting=True), Node("1", "c=1", 1)),
        edges=(
            Edge("0", "0", 3.0, "00/0, 01/1, 10/1"), Edge("0", "1", 1.0, "11/0"), Edge("1", "0", 1.0, "00/1"),
            Edge("1", "1", 3.0, "01/0, 10/0, 11/1"),
        ),
        layout="automaton", facts={"stage": "machine"},
    )  # fmt: skip


def candidates() -> Table:
    columns = (
        Column("route", "text"), Column("length", "int", "tokens"), Column("outcome", "text"), Column("why", "text"),
    )  # fmt: skip
    rows = (
        ("formulas", 38, "chosen", "the shortest that agrees with the network on every input"),
        ("table", 71, "refused", "longer: two entries for each of 8 transitions"),
        ("counters", None, "refused", "no counter explains the second output"),
    )
    return Table(title="Candidates", columns=columns, rows=rows, facts={"stage": "formulas"})


def truth_table() -> Table:
    names = ("c", "p", "q", "new c", "output")
    rows = tuple((c, p, q, (p + q + c) // 2, p ^ q ^ c) for c in (0, 1) for p in (0, 1) for q in (0, 1))
    return Table(
        title="Truth table", columns=tuple(Column(n, "int") for n in names), rows=rows, facts={"stage": "formulas"},
    )  # fmt: skip


def side_by_side(wrong_from: int | None = None) -> Table:
    """The adder's input, hidden numbers on the lattice, and both outputs; `wrong_from` a position where they part."""
    columns = (
        Column("position", "int"), Column("p", "int"), Column("q", "int"), Column("h1", "float"),
        Column("h2", "float"), Column("network output", "int"), Column("state", "text"), Column("c", "int"),
        Column("program output", "int"), Column("agree", "bool"),
    )  # fmt: skip
    places = {(0, 0): (0, 0), (0, 1): (1, 1), (1, 0): (3, 0), (1, 1): (2, 2)}
    rows: list[tuple[Any, ...]] = []
    carry = 0
    for at, (p, q) in enumerate(zip(FIRST, SECOND)):
        y = p ^ q ^ carry
        carry = (p + q + carry) // 2
        h1, h2 = (np.array(ORIGIN) + np.array(places[carry, y]) @ np.array(BASIS)).tolist()
        said = y if wrong_from is None or at < wrong_from else 1 - y
        rows.append((at + 1, p, q, h1 + 0.004, h2 - 0.003, y, f"c={carry}", carry, said, said == y))
    return Table(
        title="Side by side", columns=columns, rows=tuple(rows), summary=f"{len(rows)} positions",
        facts={"inputs": [list(FIRST), list(SECOND)]},
    )  # fmt: skip


def proof_text() -> Program:
    source = "(declare-const c Int)\n(declare-const p Int)\n(assert (and (<= 0 c) (<= c 1)))\n(check-sat)\n"
    return Program(title="Proof Binary_Addition", source=source, language="smt2", facts={"stage": "proof"})


def extracted(without: str = "", **changes: Any) -> tuple[AnyArtifact, ...]:
    """All that the step leaves, but for one stage."""
    found: tuple[AnyArtifact, ...] = (
        weights(), weights("normal form"), states(), machine(), candidates(), truth_table(),
        msgspec.structs.replace(program(), **changes), proof_text(),
    )  # fmt: skip
    return tuple(artifact for artifact in found if artifact.facts.get("stage") != without)


TASKS = (
    ("Binary_Addition", "formulas", 38, True, "proved"), ("Base_3_Addition", "formulas", 44, True, "proved"),
    ("Base_4_Addition", "lattice", 47, True, "not proved"), ("Base_5_Addition", "", None, False, ""),
    ("Base_6_Addition", "table", 210, True, "not proved"), ("Base_7_Addition", "", None, None, ""),
    ("Bitwise_Xor", "formulas", 12, True, "proved"), ("Previous_Equals_Current", "windows", 21, True, "proved"),
)  # fmt: skip


def benchmark(done: int = 5, total: int = 62) -> Table:
    """The table while the benchmark runs: the first `done` tasks have their numbers."""
    columns = (
        Column("#", "int"), Column("task", "text"), Column("solved", "text"), Column("route", "text"),
        Column("length", "int"), Column("table", "text"), Column("network", "text"), Column("target", "text"),
        Column("its length", "text"), Column("every length", "text"), Column("seconds", "float", unit="s"),
        Column("MIPS", "text"), Column("GPT-4", "text"),
    )  # fmt: skip
    rows: list[tuple[Any, ...]] = []
    for at in range(total):
        task, route, length, solved, proved = TASKS[at] if at < len(TASKS) else (f"Task_{at + 1}", "", None, None, "")
        paper = ("yes" if at % 2 == 0 else "no", ("yes", "no", "partly")[at % 3])
        if at >= done or solved is None:
            rows.append((at + 1, task, "", "", None, "", "", "", "", "", None, *paper))
            continue
        right = "yes" if solved else "no"
        way = route or "open: no route found a program that agrees with the network"
        table = "yes" if route == "table" else "no"
        rows.append((at + 1, task, right, way, length, table, right, right, proved, proved, 1.2 + at / 3, *paper))
    return Table(title="MIPS benchmark", columns=columns, rows=tuple(rows), summary=f"{done} of {total} tasks done")


def programs_text() -> Text:
    """All programs of the benchmark in one text, as its step leaves them."""
    said = "- agrees with the network on 4 of 4 sequences (all 4)\n- not proved: every length (no time)\n"
    parts = (f"## Base_3_Addition\n\n```python\n{ADDER}```\n\n{said}", "## Base_5_Addition\n\nopen: no route\n")
    return Text(title="Programs of the benchmark", markdown="\n".join(parts))
