"""The sweeps methods of the catalogue."""

from __future__ import annotations

from engine.circuits.sweeps.greedy_operations import GreedySweep, greedy_sweep
from engine.circuits.sweeps.sweep_operations import HeadSweep, head_sweep
from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="circuits.head_sweep",
        title="Ablate every head",
        summary="Ablates every attention head, and every MLP if asked, one at a time, and measures what is lost: a "
        "layer x head heatmap that fills in as it runs, and a table of components by their effect. With screen, most "
        "of it runs in bfloat16, and exactly whatever that could decide wrongly.",
        params=HeadSweep,
        version=2,
        gives=("matrix", "table"),
        function=head_sweep,
        source="zero, mean and resample ablation: Wang et al. 2022, Conmy et al. 2023",
    ),
    Operation(
        name="circuits.greedy_sweep",
        title="Find a circuit: greedy head sweep",
        summary="Removes, layer by layer, from below or from above, every head that the metric does not miss; other "
        "prompts may have to confirm it by their interval. Prompts held out of all decisions are measured after each "
        "removal. Gives the decisions, the circuit as a graph, and the curves.",
        params=GreedySweep,
        version=2,
        gives=("table", "matrix", "graph", "series"),
        function=greedy_sweep,
        source="the fine-tuning seed study, section 5.3",
    ),
)
