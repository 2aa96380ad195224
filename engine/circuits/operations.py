"""The circuit methods of the catalogue, room by room."""

from __future__ import annotations

from engine.circuits.across.operations import OPERATIONS as ACROSS
from engine.circuits.discovery.operations import OPERATIONS as DISCOVERY
from engine.circuits.interventions.operations import OPERATIONS as INTERVENTIONS
from engine.circuits.judging.operations import OPERATIONS as JUDGING
from engine.circuits.reading.operations import OPERATIONS as READING
from engine.circuits.sweeps.operations import OPERATIONS as SWEEPS
from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = (*SWEEPS, *DISCOVERY, *JUDGING, *INTERVENTIONS, *READING, *ACROSS)
