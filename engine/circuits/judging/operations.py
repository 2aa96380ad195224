"""The judgement methods of the catalogue."""

from __future__ import annotations

from engine.circuits.judging.circuit_operations import Evaluate, evaluate
from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="circuits.evaluate",
        title="Judge a circuit",
        summary="Ablates everything outside a circuit and reports faithfulness, the difference from the whole model, "
        "loss, accuracy and KL; also with nothing kept, and with the circuit itself ablated.",
        params=Evaluate,
        gives=("table",),
        function=evaluate,
        source="Wang et al. 2022; Miller et al. 2024",
    ),
)
