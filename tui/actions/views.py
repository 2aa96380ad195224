"""What can be done in one view only. Each row names a `do_...` method of that view's pane.

(The rows of sweep, attention, circuit and program lie in `analysis.py`.)
"""

from __future__ import annotations

from tui.actions.action import Action, on_pane

MODEL: tuple[Action, ...] = (
    on_pane("model.load", "Load…", "Open the loading form for the chosen model.", "enter", verb="open", hint=11),
    on_pane(
        "model.source",
        "Type a source",
        "Write a Hugging Face name, a folder or a .safetensors file.",
        "a",
        verb="source",
        hint=13,
    ),
    on_pane(
        "model.use",
        "Use this model",
        "Make the loaded model under the cursor the chosen one, in every view.",
        "space",
        verb="use",
        hint=14,
    ),
    on_pane(
        "model.decompile",
        "Decompile",
        "Read the chosen model's weights back into the RASP program they compute; it appears in Program.",
        "d",
        verb="decompile",
        hint=12,
    ),
)

DATA: tuple[Action, ...] = (
    on_pane("data.make", "Make prompts…", "Generate a seeded set of prompts for a task.", "a", verb="make", hint=11),
    on_pane(
        "data.open",
        "Open a file…",
        "Read your own prompts from CSV, JSONL or JSON; bad rows are reported one by one.",
        "o",
        verb="file",
        hint=12,
    ),
    on_pane(
        "data.side",
        "Clean beside corrupt",
        "Show clean and corrupt side by side, or the clean text alone.",
        "c",
        verb="side",
        hint=13,
    ),
    on_pane(
        "data.check",
        "Next problem",
        "Go to the next prompt that cannot be used with the model, and say why.",
        "v",
        verb="check",
        hint=14,
    ),
    on_pane("data.set", "Next set", "Show the next set of prompts of this investigation.", "t", verb="next_set"),
)

HISTORY: tuple[Action, ...] = (
    on_pane(
        "history.open", "Show everywhere", "Make every view show this step's results.", "enter", verb="open", hint=11
    ),
    on_pane(
        "history.resume",
        "Resume",
        "Go on with an interrupted, cancelled or failed step from where it stopped.",
        "c",
        verb="resume",
        hint=12,
    ),
    on_pane(
        "history.rerun",
        "Run again from here",
        "Run this step and all that stands on it again, as new steps.",
        "A",
        verb="rerun",
        hint=15,
    ),
    on_pane(
        "history.stop",
        "Stop this step",
        "Ask the chosen step to stop; what it finished is kept.",
        "x",
        verb="stop",
        hint=13,
    ),
    on_pane(
        "history.edit",
        "Change as a new step…",
        "Open the form with this step's parameters, to run it with others.",
        "a",
        verb="edit",
        hint=14,
    ),
    on_pane("history.error", "What went wrong", "Show the whole error of the chosen step.", "w", verb="error"),
)
