"""The judgement methods of the catalogue."""

from __future__ import annotations

from engine.circuits.judging.circuit_operations import Evaluate, evaluate
from engine.circuits.judging.curve_operations import FaithfulnessCurve, faithfulness_curve
from engine.circuits.judging.reference_operations import Reference, reference
from engine.circuits.judging.roc_operations import RocParams, roc
from engine.circuits.judging.stability_operations import Stability, stability
from engine.circuits.judging.subset_operations import Completeness, Minimality, completeness, minimality
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
    Operation(
        name="circuits.completeness",
        title="Is a circuit complete?",
        summary="Takes the same nodes out of the circuit and out of the whole model (at random, by layer, by class, "
        "and greedily) and reports how far the two part at worst.",
        params=Completeness,
        gives=("points", "table"),
        function=completeness,
        source="Wang et al. 2022, section 4",
    ),
    Operation(
        name="circuits.minimality",
        title="Is all of a circuit needed?",
        summary="For every node of the circuit, looks for a set of others without which the node matters, and names "
        "the nodes that never do.",
        params=Minimality,
        gives=("table",),
        function=minimality,
        source="Wang et al. 2022, section 4",
    ),
    Operation(
        name="circuits.faithfulness_curve",
        title="Faithfulness by size: CPR and CMD",
        summary="Takes ever larger circuits from a matrix of edge scores and measures each: faithfulness against the "
        "part of the edges kept, the area under it (CPR), and its distance from 1 (CMD).",
        params=FaithfulnessCurve,
        gives=("series", "table"),
        function=faithfulness_curve,
        source="Mueller et al. 2025 (MIB)",
    ),
    Operation(
        name="circuits.stability",
        title="Would other prompts give the same circuit?",
        summary="Finds the circuit again and again on resampled prompts, or with ACDC in random orders: how often each "
        "edge or head is in it, and how alike the circuits are.",
        params=Stability,
        gives=("graph", "matrix", "table"),
        function=stability,
        source="bootstrap over prompts: Efron & Tibshirani 1993; order dependence: Conmy et al. 2023",
    ),
)
