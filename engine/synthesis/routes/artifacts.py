"""An extraction as artifacts: one for each stage on the way from weights to program, the program itself first.

Each says in `facts["stage"]` which stage it shows: weights, states, machine, formulas, program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from engine.models.protocols import RecurrentModel
from engine.synthesis.lattices.drawing import axes_of, drawn
from engine.synthesis.programs.names import input_names, output_names
from engine.synthesis.routes.automaton import Automaton
from engine.synthesis.routes.drawing import projected
from engine.synthesis.routes.extraction import Extraction
from engine.synthesis.routes.weight_stages import weight_stages
from sessions.artifacts import AnyArtifact, Column, Edge, Graph, Node, Points, Program, Proof, Table, Verdict

MOST_POINTS = 2_000  # hidden states drawn
MOST_ROWS = 1_024  # rows of a truth table


def artifacts(
    extraction: Extraction, model: RecurrentModel, verdicts: tuple[Verdict, ...], proofs: tuple[Proof, ...]
) -> Sequence[AnyArtifact]:
    """The program, then the stages that there are."""
    weights, why_not = weight_stages(model, extraction.behaviour)
    shown: list[AnyArtifact] = [program(extraction, model, verdicts, proofs, why_not), *weights]
    if extraction.automaton is not None:
        shown.append(machine_graph(extraction.automaton, model.task))
    shown.append(states(extraction, model.task))
    shown.append(candidates(extraction, model.task))
    if extraction.automaton is not None:
        shown.append(truth_table(extraction.automaton, model.task))
    return shown


def program(
    extraction: Extraction,
    model: RecurrentModel,
    verdicts: tuple[Verdict, ...],
    proofs: tuple[Proof, ...],
    no_weights: str,
) -> Program:
    best = extraction.best
    proved = next((str(proof.status) for proof in proofs if proof.every_length), "")
    facts: dict[str, Any] = {
        "stage": "program",
        "route": best.route,
        "description length": f"{best.length} tokens",
        "contains a table": best.table,
        "candidates": len(extraction.candidates),
        "inputs": str(extraction.behaviour.domain),
        **best.facts,
    }
    if extraction.automaton is not None and best.route.startswith("automaton"):
        facts |= _stages(extraction.automaton)
    reasons = {"weights": no_weights, "normal form": no_weights} if no_weights else {}
    reasons |= dict([("machine", one.reason) for one in extraction.refused if one.route == "automaton"][:1])
    if reasons:
        facts["stage reasons"] = reasons
    return Program(
        title=f"Program {model.task}".rstrip(),
        summary=f"{best.route}, {best.length} tokens; {verdicts[0]}" + (f"; every length: {proved}" if proved else ""),
        source=best.source,
        verdicts=verdicts,
        proofs=proofs,
        facts=facts,
    )


def candidates(extraction: Extraction, task: str) -> Table:
    """Every route's program with its length, and why the others have none."""
    rows: list[tuple[Any, ...]] = []
    for number, one in enumerate(extraction.candidates):
        why = "taken: the shortest" if number == 0 else "has a table" if one.table else "longer"
        rows.append((one.route, one.length, "yes" if one.table else "no", why, _body(one.source)))
    rows += [(one.route, None, "", f"none: {one.reason}", "") for one in extraction.refused]
    return Table(
        title=f"Candidates {task}".rstrip(),
        summary=f"{_counted(len(extraction.candidates), 'program')}, {_counted(len(extraction.refused), 'route')} "
        "without one",
        columns=(
            Column("route", "text", help="the way from the network to the program"),
            Column("length", "int", help="description length in tokens"),
            Column("table", "text", help="whether something is looked up in a table"),
            Column("result", "text"),
            Column("loop", "text", help="the body of its loop"),
        ),
        rows=tuple(rows),
        facts={"stage": "formulas"},
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _body(source: str) -> str:
    """The lines inside the loop, on one line."""
    lines = source.splitlines()
    start = next(k for k, line in enumerate(lines) if line.lstrip().startswith("for "))
    return "; ".join(line.strip() for line in lines[start + 1 : -1] if "ys.append" not in line)


def truth_table(automaton: Automaton, task: str) -> Table:
    """Old state and input, new state and output: what the formulas have to give."""
    machine = automaton.machine
    names, codes = automaton.labels()
    read, given = input_names(len(machine.symbols[0])), output_names(machine.output.shape[2])
    rows = []
    for state, row in enumerate(machine.next.tolist()):
        for symbol, after in enumerate(row):
            if after >= 0:
                numbers = (codes[state], machine.symbols[symbol], codes[after], machine.output[state, symbol])
                rows.append(tuple(int(v) for part in numbers for v in part))
    columns = [Column(name, "int", help="before") for name in names]
    columns += [Column(name, "int", help="read") for name in read]
    columns += [Column(f"{name} after", "int") for name in names]
    columns += [Column(name, "int", help="written") for name in given]
    whole = len(rows) <= MOST_ROWS
    return Table(
        title=f"Truth table {task}".rstrip(),
        summary=f"{len(rows)} transitions of {machine.states} states" + ("" if whole else f", the first {MOST_ROWS}"),
        columns=tuple(columns),
        rows=tuple(rows[:MOST_ROWS]),
        facts={"stage": "formulas"},
    )


def _stages(automaton: Automaton) -> dict[str, Any]:
    """How the machine came about: what every one of the three results depends on."""
    explored, clusters, machine = automaton.explored, automaton.clusters, automaton.machine
    return {
        "inputs": str(automaton.domain),
        "hidden states visited": len(explored.hidden),
        "every prefix visited": explored.whole,
        "states told apart by": "what follows them" if automaton.by_behaviour else "distance",
        "tolerance": round(clusters.tolerance, 6),
        "clusters": len(clusters.representative),
        "clusters from splitting": clusters.split,
        "transitions asked of the network": automaton.asked,
        "states after minimisation": machine.states,
        # Closed says nothing about how far the network's own states drift beyond the length that was looked at.
        "automaton": "closed: no input leads out of its states"
        if automaton.closed
        else f"open: known for up to {automaton.domain.length} inputs",
    }


def machine_graph(automaton: Automaton, task: str) -> Graph:
    """The minimal machine as a graph: one edge per pair of states, labelled `in/out, in/out`."""
    machine = automaton.machine
    names, codes = automaton.labels()
    depths = machine.depths()
    nodes = tuple(
        Node(
            id=str(k),
            label=", ".join(f"{name}={value}" for name, value in zip(names, codes[k]))
            if machine.states > 1
            else "start",
            layer=max(depths[k], 0),
            accepting=k == 0,
        )
        for k in range(machine.states)
    )
    labels: dict[tuple[int, int], list[str]] = {}
    for state, row in enumerate(machine.next.tolist()):
        for symbol, after in enumerate(row):
            if after >= 0:
                read, written = machine.symbols[symbol], machine.output[state, symbol].tolist()
                labels.setdefault((state, after), []).append(f"{_joined(read)}/{_joined(written)}")
    edges = tuple(
        Edge(source=str(a), target=str(b), weight=float(len(words)), label=", ".join(words))
        for (a, b), words in labels.items()
    )
    return Graph(
        title=f"Automaton {task}".rstrip(),
        summary=f"{machine.states} states, {sum(len(words) for words in labels.values())} transitions; "
        f"{len(automaton.clusters.representative)} clusters before minimisation",
        nodes=nodes,
        edges=edges,
        layout="automaton",
        weight_name="inputs that take this way",
        facts={"stage": "machine", **_stages(automaton)},
    )


def _joined(values: Sequence[int]) -> str:
    """`01` for bits and digits, `1,12` where that would be ambiguous."""
    plain = all(0 <= v <= 9 for v in values)
    return ("" if plain else ",").join(str(v) for v in values)


def states(extraction: Extraction, task: str) -> Points:
    """Hidden states in the plane: coloured by the machine's states, else by the first output."""
    automaton = extraction.automaton
    if automaton is None:
        behaviour = extraction.behaviour
        count, length, hidden = behaviour.hidden.shape
        flat = behaviour.hidden.reshape(count * length, hidden)
        time = np.tile(np.arange(1, length + 1), count)
        xy, axes = projected(flat, time)
        output = behaviour.y[:count, :, 0].reshape(-1)
        chosen = np.unique(np.linspace(0, len(xy) - 1, min(len(xy), MOST_POINTS)).astype(np.int64))
        return Points(
            title=f"Hidden states {task}".rstrip(),
            summary=f"{len(chosen):,} of {len(xy):,} observed hidden states, coloured by output",
            xy=xy[chosen],
            labels=tuple(f"output {output[k]}, after {time[k]} inputs" for k in chosen),
            colour=output[chosen].astype(np.float64),
            axis_names=axes,
            facts={"stage": "states", "inputs": str(behaviour.domain), **_plane(extraction, flat)},
        )
    explored, clusters = automaton.explored, automaton.clusters
    state = automaton.state_of_clusters()[clusters.label]
    # The axes come from all points; of those drawn, all times and states should be seen, so they are evenly spaced.
    xy, axes = projected(explored.hidden, explored.time)
    count = len(xy)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).astype(np.int64))
    chosen = np.unique(np.concatenate([chosen, clusters.representative]))
    shown = f"{len(chosen):,} of {count:,}" if len(chosen) < count else f"{count:,}"
    return Points(
        title=f"Hidden states {task}".rstrip(),
        summary=f"{shown} visited hidden states, coloured by {automaton.machine.states} states",
        xy=xy[chosen],
        labels=tuple(f"state {state[k]}, after {explored.time[k]} inputs" for k in chosen),
        colour=state[chosen].astype(np.float64),
        axis_names=axes,
        facts={"stage": "states", **_stages(automaton), **_plane(extraction, explored.hidden)},
    )


def _plane(extraction: Extraction, hidden: Float[np.ndarray[Any, Any], "point hidden"]) -> dict[str, Any]:
    """How further hidden states are drawn in the same plane, (h - mean) axes, and the lattice where they lie on one."""
    axes, centre, _ = axes_of(hidden)
    facts: dict[str, Any] = {}
    if hidden.shape[1] > 2:
        facts["projection"] = {"mean": centre.tolist(), "axes": axes.tolist()}
    if extraction.lattice is not None:
        facts["lattice"] = drawn(extraction.lattice.lattice, axes, centre)
    return facts
