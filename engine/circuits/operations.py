"""The circuit methods of the catalogue."""

from __future__ import annotations

from engine.circuits.attention_operations import AttentionPatterns, HeadScores, attention_patterns, head_scores
from engine.circuits.sweep_operations import HeadSweep, head_sweep
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
        source="circuits.md, sections b and e",
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
