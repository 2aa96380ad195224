"""The reading methods of the catalogue."""

from __future__ import annotations

from engine.circuits.reading.attention_operations import AttentionPatterns, attention_patterns
from engine.circuits.reading.class_operations import HeadClasses, head_classes
from engine.circuits.reading.direct_operations import DirectEffects, direct_effects
from engine.circuits.reading.lens_operations import LogitLens, logit_lens
from engine.circuits.reading.score_operations import HeadScores, head_scores
from engine.circuits.reading.weight_operations import WeightCircuits, weight_circuits
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
    Operation(
        name="circuits.head_classes",
        title="Head classes",
        summary="First-token, self, previous-token and induction heads by the seed study's rule, with the runner-up "
        "and the level of chance, and which heads attend to the answer.",
        params=HeadClasses,
        gives=("table", "matrix"),
        function=head_classes,
        interactive=True,
        source="the seed study, section 5.4",
    ),
    Operation(
        name="circuits.logit_lens",
        title="Logit lens",
        summary="What the model would answer after every layer: one prompt position by position, and the answer's "
        "rank, logit difference and distance from the end, averaged.",
        params=LogitLens,
        gives=("matrix", "table", "series"),
        function=logit_lens,
        interactive=True,
        source="nostalgebraist 2020",
    ),
    Operation(
        name="circuits.direct_effects",
        title="Direct effects",
        summary="What every head, MLP, embedding and bias adds to the logit difference by itself (direct logit "
        "attribution); heads also by the token it comes from.",
        params=DirectEffects,
        gives=("matrix", "table"),
        function=direct_effects,
        interactive=True,
        source="Elhage et al. 2021; Wang et al. 2022, section 3",
    ),
    Operation(
        name="circuits.weight_circuits",
        title="QK and OV circuits",
        summary="One head from its weights: which token attends to which, what attending adds to the logits, whether "
        "it copies, and which earlier heads it composes with.",
        params=WeightCircuits,
        gives=("matrix", "table"),
        function=weight_circuits,
        interactive=True,
        source="Elhage et al. 2021",
    ),
)
