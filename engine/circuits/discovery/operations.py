"""The discovery methods of the catalogue."""

from __future__ import annotations

from engine.circuits.discovery.acdc_operations import Acdc, acdc
from engine.circuits.discovery.head_operations import HeadAttribution, head_attribution
from engine.circuits.discovery.score_operations import Eap, EdgePatching, eap, edge_patching
from engine.circuits.discovery.selection_operations import SelectEdges, select_edges
from engine.circuits.discovery.threshold_operations import AcdcThresholds, acdc_thresholds
from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="circuits.acdc",
        title="Find a circuit: ACDC",
        summary="Cuts edge after edge, from the logits down, and keeps every cut that the metric does not mind. Gives "
        "the circuit of the edges that are left, all decisions, and the metric as edges go, also on prompts held out.",
        params=Acdc,
        gives=("graph", "table", "series"),
        function=acdc,
        source="Conmy et al. 2023",
    ),
    Operation(
        name="circuits.eap",
        title="Find a circuit: edge attribution patching",
        summary="Scores all edges at once by gradients: EAP, EAP-IG over inputs or activations, or clean-corrupt. "
        "Gives the scores, and the circuit of the best edges with its faithfulness.",
        params=Eap,
        gives=("matrix", "table", "graph"),
        function=eap,
        source="Syed et al. 2023; Hanna et al. 2024",
    ),
    Operation(
        name="circuits.edge_patching",
        title="Patch every edge",
        summary="Exact scores: each edge alone is cut (or, denoising, put in), its target reads anew, and all that "
        "follows is computed again. Not path patching, which carries the effect through the MLPs between.",
        params=EdgePatching,
        gives=("matrix", "table", "graph"),
        function=edge_patching,
        source="Conmy et al. 2023; Goldowsky-Dill et al. 2023",
    ),
    Operation(
        name="circuits.select_edges",
        title="A circuit from scores",
        summary="The best edges of a matrix of scores: the n best, greedily from the logits, or above a threshold.",
        params=SelectEdges,
        gives=("graph",),
        function=select_edges,
        interactive=True,
        source="Hanna et al. 2024; Mueller et al. 2025",
    ),
    Operation(
        name="circuits.acdc_thresholds",
        title="ACDC at several thresholds",
        summary="Runs ACDC once for each threshold. An edge's score is the smallest threshold that removes it: what a "
        "ROC curve of ACDC is drawn from.",
        params=AcdcThresholds,
        gives=("matrix", "table"),
        function=acdc_thresholds,
        source="Conmy et al. 2023",
    ),
    Operation(
        name="circuits.head_attribution",
        title="Head attribution patching",
        summary="Every head's effect to first order, from one backward pass: a layer x head heatmap.",
        params=HeadAttribution,
        gives=("matrix", "table"),
        function=head_attribution,
        source="Nanda 2023; Syed et al. 2023",
    ),
)
