"""The methods of the catalogue that compare models and circuits."""

from __future__ import annotations

from engine.circuits.across.answer_attention_operations import AttentionToAnswer, attention_to_answer
from engine.circuits.across.baseline_operations import Baselines, baselines
from engine.circuits.across.compare_operations import Compare, compare
from engine.circuits.across.summary_operations import Summary, summary
from engine.circuits.across.transfer_operations import Transfer, transfer
from engine.operations import Operation

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="circuits.baselines",
        title="Baselines: models on sets of prompts",
        summary="How well each model answers each set with nothing ablated: loss (the study's Log Prob), share of "
        "correct answers with an interval, and logit difference; template by template if asked.",
        params=Baselines,
        gives=("table",),
        function=baselines,
        source="the fine-tuning seed study, its first table",
    ),
    Operation(
        name="circuits.transfer",
        title="Circuits on models",
        summary="Applies circuits found on one model to others: circuits x models, each cell the model with all but "
        "the circuit ablated, with an interval, beside the whole models. The best circuit of each model is marked.",
        params=Transfer,
        gives=("matrix", "table"),
        function=transfer,
        source="the fine-tuning seed study, section 5.3, its third table",
    ),
    Operation(
        name="circuits.compare",
        title="Circuits side by side",
        summary="What circuits share and where they part: counts, Jaccard, precision and recall by part and layer, "
        "and a graph in which every node and edge says which circuit has it.",
        params=Compare,
        gives=("table", "graph", "matrix"),
        function=compare,
        interactive=True,
    ),
    Operation(
        name="circuits.summary",
        title="Circuits in one table",
        summary="How large each circuit is (nodes, heads, inputs, edges), and how the whole model and the circuit "
        "alone did when it was found: loss, share of correct answers, logit difference, KL, faithfulness.",
        params=Summary,
        gives=("table", "table"),
        function=summary,
        interactive=True,
        source="the fine-tuning seed study, its second table",
    ),
    Operation(
        name="circuits.attention_to_answer",
        title="Attention to the answer, before and after",
        summary="Per model, how much each head attends to the answer's place in the prompt; the change from the first "
        "model; and whether the attending heads of each model are among the next one's.",
        params=AttentionToAnswer,
        gives=("matrix", "table"),
        function=attention_to_answer,
        source="the fine-tuning seed study, section 5.4",
    ),
)
