"""The synthesis methods of the catalogue, room by room."""

from __future__ import annotations

from engine.operations import Operation
from engine.synthesis.programs.operations import OPERATIONS as PROGRAMS
from engine.synthesis.routes.benchmark_operations import OPERATIONS as BENCHMARK
from engine.synthesis.routes.operations import OPERATIONS as ROUTES

OPERATIONS: tuple[Operation, ...] = (*ROUTES, *BENCHMARK, *PROGRAMS)
