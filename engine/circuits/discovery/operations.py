"""The discovery methods of the catalogue."""

from __future__ import annotations

from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = ()
