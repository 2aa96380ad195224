"""The reading methods of the catalogue."""

from __future__ import annotations

from engine.circuits.reading.attention_operations import AttentionPatterns, attention_patterns
from engine.circuits.reading.score_operations import HeadScores, head_scores
from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
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
