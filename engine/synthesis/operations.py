"""The synthesis methods of the catalogue, room by room."""

from __future__ import annotations

from engine.operations import Operation
from engine.synthesis.checks.operations import OPERATIONS as CHECKS
from engine.synthesis.normal_forms.operations import OPERATIONS as NORMAL_FORMS
from engine.synthesis.programs.operations import OPERATIONS as PROGRAMS
from engine.synthesis.programs.stepping_operations import OPERATIONS as STEPPING
from engine.synthesis.routes.benchmark_operations import OPERATIONS as BENCHMARK
from engine.synthesis.routes.lattice_operations import OPERATIONS as LATTICES
from engine.synthesis.routes.operations import OPERATIONS as ROUTES
from engine.synthesis.training.anew_operations import OPERATIONS as ANEW
from engine.synthesis.training.operations import OPERATIONS as TRAINING

OPERATIONS: tuple[Operation, ...] = (
    *TRAINING,
    *ANEW,
    *ROUTES,
    *BENCHMARK,
    *NORMAL_FORMS,
    *LATTICES,
    *PROGRAMS,
    *STEPPING,
    *CHECKS,
)
