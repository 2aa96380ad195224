"""The intervention methods of the catalogue."""

from __future__ import annotations

from engine.circuits.interventions.what_if_operations import WhatIf, what_if
from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="circuits.what_if",
        title="What if these were gone?",
        summary="Ablates the named heads and MLPs at once: the metrics before and after, and how one prompt's next "
        "tokens change.",
        params=WhatIf,
        gives=("table", "table"),
        function=what_if,
        interactive=True,
    ),
)
