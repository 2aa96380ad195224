"""Coming."""

from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = ()
