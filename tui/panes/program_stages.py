"""The stages on the way from a network to its program, and which artifact is which; plain Python.

Each artifact of an extraction says its stage in its facts. What an older file holds, or another method left, is told
by its kind. A stage that is absent has a reason: the program's facts may give it (`stage reasons`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from sessions.artifacts import AnyArtifact, Graph, Matrix, Points, Program, Table

STAGES = ("weights", "normal form", "states", "machine", "formulas", "program", "proof")
PROOFS = ("smt2", "dafny")  # languages of an exported proof
SIDE_BY_SIDE = "Side by side"  # how the table of an input stepped through is titled

# Operations that show a stage of a network afterwards, for an extraction that left it out.
AFTERWARDS = {"synthesis.normalise": "normal form", "synthesis.lattice": "states"}

_MISSING = {
    "weights": "the step that made this program kept no weights; synthesis.normalise shows them",
    "normal form": "no normal form was made of this network: synthesis.normalise makes one",
    "states": "the step that made this program kept no hidden states",
    "machine": "this program was not read from a finite machine",
    "formulas": "the step that made this program kept no candidates and no truth table",
    "proof": "nothing has been proved of this program",
}


class Stage(NamedTuple):
    """One stage: the artifacts that show it, by id; none, and why, where it is absent."""

    name: str
    held: tuple[tuple[int, AnyArtifact], ...] = ()
    reason: str = ""

    @property
    def there(self) -> bool:
        return not self.reason


def is_proof(artifact: AnyArtifact) -> bool:
    """Whether a program artifact is a proof written for a solver and not a program."""
    return isinstance(artifact, Program) and (
        artifact.language in PROOFS or artifact.facts.get("stage") in ("proof", "proofs")
    )


def stage_of(artifact: AnyArtifact) -> str:
    """The stage that an artifact shows; empty when it shows none."""
    said = artifact.facts.get("stage")
    if said in STAGES:
        return str(said)
    if is_proof(artifact):
        return "proof"
    match artifact:
        case Program():
            return "program"
        case Graph(layout="automaton"):
            return "machine"
        case Points():
            return "states"
        case Table() if artifact.title.startswith(("Candidates", "Truth table")):
            return "formulas"
    return ""


def stages_of(
    program: Program, held: Iterable[tuple[int, AnyArtifact]], afterwards: Mapping[int, str] | None = None
) -> tuple[Stage, ...]:
    """All seven, in their order, with what shows them among the artifacts that belong to the program.

    `afterwards`: of an artifact that another step left, the stage that this step shows.
    """
    shown: dict[str, list[tuple[int, AnyArtifact]]] = {name: [] for name in STAGES}
    for number, artifact in held:
        name = stage_of(artifact)
        if number in (afterwards or {}):
            name = (afterwards or {})[number] if isinstance(artifact, Matrix | Points | Table) else ""
        if name and name != "program" and all(number != other for other, _ in shown[name]):
            shown[name].append((number, artifact))
    normal = [(n, a) for n, a in shown["normal form"] if isinstance(a, Matrix) and a.values.ndim > 2]
    shown["weights"] = shown["weights"] or [(n, sliced(a, 0)) for n, a in normal]  # they stand before the first step
    told = program.facts.get("stage reasons")
    reasons: Mapping[str, object] = told if isinstance(told, Mapping) else {}
    stages = []
    for name in STAGES:
        there = bool(shown[name]) or name == "program" or (name == "proof" and bool(program.proofs))
        reason = "" if there else str(reasons.get(name) or _MISSING.get(name, "absent"))
        stages.append(Stage(name, tuple(shown[name]), reason))
    return tuple(stages)


def sliced(matrix: Matrix, at: int) -> Matrix:
    """One slice of a matrix with three axes, named by its label; one with two axes as it is."""
    if matrix.values.ndim != 3:
        return matrix
    axis = matrix.axes[0]
    label = axis.labels[at] if axis.labels else f"{axis.name} {at}"
    return msgspec.structs.replace(
        matrix, title=f"{matrix.title}, {label}", values=matrix.values[at], axes=matrix.axes[1:], marks=()
    )


def preserved_of(artifact: AnyArtifact) -> list[str]:
    """What an artifact's facts say beside its stage, as `name: value`, for the line under a drawing."""
    hidden = ("stage", "stage reasons", "lattice", "roles", "projection")
    return [
        f"{name}: {'yes' if value is True else 'no' if value is False else value}"
        for name, value in artifact.facts.items()
        if name not in hidden and isinstance(value, str | int | float)
    ]
