"""The table of questions about a head: each is an action with one key, and an operation that answers it."""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """One row of the table of questions. `exact` are the parameters that another step's answer must share."""

    id: str
    key: str
    title: str
    help: str
    operation: str
    heads_only: bool = False
    whole: bool = False  # the answer's tables are about this component alone; else its row of them is


QUESTIONS: tuple[Question, ...] = (
    Question(
        "classes",
        "C",
        "Its class",
        "Which class the head is of, with hits and attention beside the runner-up's and chance.",
        "circuits.head_classes",
        heads_only=True,
    ),
    Question(
        "direct",
        "e",
        "Its direct effect",
        "What the head or MLP adds to the logit difference by itself, and its place among all parts.",
        "circuits.direct_effects",
    ),
    Question(
        "what_if",
        "W",
        "What if it were gone?",
        "Ablate the head or MLP: metrics before and after, and how the prompt's next tokens change.",
        "circuits.what_if",
        whole=True,
    ),
    Question(
        "weights",
        "Q",
        "Its QK and OV circuits",
        "What the head does by its weights alone, for the tokens of this prompt.",
        "circuits.weight_circuits",
        heads_only=True,
        whole=True,
    ),
)
QUESTION_OF: dict[str, Question] = {question.id: question for question in QUESTIONS}
