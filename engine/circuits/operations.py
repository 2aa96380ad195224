"""The circuit methods of the catalogue."""

from __future__ import annotations

from engine.circuits.judging.circuit_operations import Evaluate, WhatIf, evaluate, what_if
from engine.circuits.reading.attention_operations import AttentionPatterns, attention_patterns
from engine.circuits.reading.score_operations import HeadScores, head_scores
from engine.circuits.sweeps.greedy_operations import GreedySweep, greedy_sweep
from engine.circuits.sweeps.sweep_operations import HeadSweep, head_sweep
from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="circuits.head_sweep",
        title="Ablate every head",
        summary="Ablates every attention head, and every MLP if asked, one at a time, and measures what is lost: a "
        "layer x head heatmap that fills in as it runs, and a table of components by their effect.",
        params=HeadSweep,
        gives=("matrix", "table"),
        function=head_sweep,
        source="zero, mean and resample ablation: Wang et al. 2022, Conmy et al. 2023",
    ),
    Operation(
        name="circuits.greedy_sweep",
        title="Find a circuit: greedy head sweep",
        summary="Removes, layer by layer, every head that the metric does not miss, and measures prompts held out of "
        "all decisions after each removal. Gives the decisions, the circuit as a graph, and both curves.",
        params=GreedySweep,
        gives=("table", "matrix", "graph", "series"),
        function=greedy_sweep,
        source="the fine-tuning seed study, section 5.3",
    ),
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
    Operation(
        name="circuits.attention_patterns",
        title="Attention patterns",
        summary="Where every head looks, on chosen prompts or averaged over them: clean, corrupt, or the difference.",
        params=AttentionPatterns,
        gives=("matrix",),
        function=attention_patterns,
        interactive=True,
    ),
    Operation(
        name="circuits.head_scores",
        title="Head scores",
        summary="How much each head attends to the previous token, to what followed an earlier occurrence of the token "
        "(induction), and to the answer; with the level of chance.",
        params=HeadScores,
        gives=("matrix", "table"),
        function=head_scores,
        source="Olsson et al. 2022; the seed study, section 5.4",
    ),
)
