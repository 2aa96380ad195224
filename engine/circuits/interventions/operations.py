"""The intervention methods of the catalogue."""

from __future__ import annotations

from engine.circuits.interventions.activation_operations import ActivationPatching, activation_patching
from engine.circuits.interventions.attention_ablation_operations import AttentionAblation, attention_ablation
from engine.circuits.interventions.path_operations import PathPatching, path_patching
from engine.circuits.interventions.what_if_operations import WhatIf, what_if
from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="circuits.activation_patching",
        title="Patch activations",
        summary="Runs one side of each prompt pair and pastes one activation of the other: of the residual stream, "
        "attention or MLP by layer and position, or of a head's z, query, key, value or pattern. A heatmap of the "
        "effects that fills in as it runs, and a table sorted by them.",
        params=ActivationPatching,
        gives=("matrix", "table"),
        function=activation_patching,
        source="Meng et al. 2022; Heimersheim & Nanda 2024 (denoising and noising)",
    ),
    Operation(
        name="circuits.path_patching",
        title="Patch paths",
        summary="How each head reaches the metric through the receivers alone: its corrupt output changes what the "
        "receivers read while all other heads stay clean, and those inputs go into a clean run. Unlike edge patching, "
        "which changes what one target reads by one source and nothing else, it carries the effect through the MLPs "
        "between them (mlps=frozen leaves direct paths). A layer x head heatmap and a table of senders.",
        params=PathPatching,
        gives=("matrix", "table"),
        function=path_patching,
        source="Wang et al. 2022; Goldowsky-Dill et al. 2023",
    ),
    Operation(
        name="circuits.attention_ablation",
        title="Ablate attention",
        summary="Takes the attention of every head away, one at a time: its pattern after the softmax (the head then "
        "writes nothing), or its scores before it (the head then attends to everything alike). These are two "
        "interventions. A layer x head heatmap that fills in as it runs, and a table of heads by their effect.",
        params=AttentionAblation,
        gives=("matrix", "table"),
        function=attention_ablation,
        source="pattern := 0: the fine-tuning seed study's attention-score ablation",
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
)
