"""What can be asked about the head or MLP under the cursor, with one key, from every view that shows heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.actions.action import Action
from tui.actions.questions import QUESTIONS, Question

if TYPE_CHECKING:
    from tui.app import IwbApp


def _question(question: Question, hint: int) -> Action:
    def handler(app: IwbApp) -> None:
        from tui.asking import ask_about_head  # what it needs is not needed for the first paint

        ask_about_head(app, question)

    def enabled(app: IwbApp) -> str | None:
        from tui.asking import cannot_ask_about_head

        return cannot_ask_about_head(app, question)

    return Action(
        id=f"head.{question.id}",
        title=question.title,
        help=question.help,
        scope="head",
        keys=(question.key,),
        handler=handler,
        enabled=enabled,
        hint=hint,
    )


def _open_attention(app: IwbApp) -> None:
    from tui.asking import open_attention

    open_attention(app)


def _cannot_open_attention(app: IwbApp) -> str | None:
    from tui.asking import cannot_open_attention

    return cannot_open_attention(app)


HEAD: tuple[Action, ...] = (
    Action(
        id="head.attention",
        title="Its attention",
        help="Go to the Attention view, which shows where this head looks.",
        scope="head",
        keys=("P",),
        handler=_open_attention,
        enabled=_cannot_open_attention,
        hint=18,
    ),
    *(_question(question, 19 + at) for at, question in enumerate(QUESTIONS)),
)
