"""The list of all operations. A new method is one function, one record, and its place in this tuple."""

from __future__ import annotations

from engine.circuits.operations import OPERATIONS as CIRCUITS
from engine.models.operations import OPERATIONS as MODELS
from engine.operations import Operation
from engine.prompts.operations import OPERATIONS as PROMPTS
from engine.rasp.operations import OPERATIONS as RASP
from engine.synthesis.operations import OPERATIONS as SYNTHESIS
from sessions.errors import CallError, nearest

OPERATIONS: tuple[Operation, ...] = (*MODELS, *PROMPTS, *CIRCUITS, *SYNTHESIS, *RASP)


def operation(name: str) -> Operation:
    """The operation of that name. CallError with the nearest name."""
    for candidate in OPERATIONS:
        if candidate.name == name:
            return candidate
    raise CallError(f"unknown operation '{name}'", remedy=nearest(name, [o.name for o in OPERATIONS]))
