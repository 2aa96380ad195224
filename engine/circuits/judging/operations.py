"""The judgement methods of the catalogue."""

from __future__ import annotations

from engine.circuits.judging.circuit_operations import Evaluate, evaluate
from engine.circuits.judging.reference_operations import Reference, reference
from engine.circuits.judging.roc_operations import RocParams, roc
from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="circuits.evaluate",
        title="Judge a circuit",
        summary="Ablates everything outside a circuit and reports faithfulness, the difference from the whole model, "
        "loss, accuracy and KL; also with nothing kept, and with the circuit itself ablated. For circuits of nodes and "
        "of edges, each number with its interval.",
        params=Evaluate,
        version=2,
        gives=("table",),
        function=evaluate,
        source="Wang et al. 2022; Miller et al. 2024",
    ),
    Operation(
        name="circuits.reference",
        title="A circuit from a paper",
        summary="The circuit that researchers found by hand for IOI or greater-than in GPT-2 small, or for docstrings "
        "in the 4-layer attention-only model, as a graph of edges, heads by class. For models of that shape.",
        params=Reference,
        gives=("graph",),
        function=reference,
        interactive=True,
        source="Wang et al. 2022; Hanna et al. 2023; Heimersheim & Janiak 2023; Conmy et al. 2023",
    ),
    Operation(
        name="circuits.roc",
        title="Scores against a known circuit",
        summary="The ROC curve, its area and the precision of scores of edges, nodes or heads, or the one point of a "
        "circuit, where the true circuit is known.",
        params=RocParams,
        gives=("series", "table"),
        function=roc,
        interactive=True,
        source="Conmy et al. 2023; Mueller et al. 2025",
    ),
)
