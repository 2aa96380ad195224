"""The table of views. A view's module is imported when it is first shown, so that the first paint waits for none."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from sessions.steps import Step, Stored

if TYPE_CHECKING:
    from tui.panes.base import Pane


class View(NamedTuple):
    """One view: `pane` is `module:class`; `fits` says which artifacts it can draw, so that a new result finds it."""

    id: str
    key: str
    title: str
    purpose: str  # two sentences, for help
    pane: str
    fits: Callable[[Stored, Step], bool]
    operation: str = ""  # what `r` runs here
    first: bool = False  # of several results of a step that fit, the first is shown, not the last

    def make(self) -> Pane:
        """A new pane of this view."""
        module, name = self.pane.split(":")
        made: Pane = getattr(import_module(module), name)()
        return made


def _about_attention(step: Step) -> bool:
    """Whether a step's matrices are patterns, queries by keys; of `attention_to_answer` they are models by heads."""
    return step.operation.endswith(("attention_patterns", ".attention", ".patterns"))


VIEWS: tuple[View, ...] = (
    View(
        "model",
        "1",
        "Model",
        "Choose and load a model: a bundled one, a Hugging Face name, a folder or a file. "
        "The card shows its architecture, parameters, memory, device, dtype and how its weights were processed.",
        "tui.panes.model:ModelPane",
        lambda stored, step: stored.kind == "model",
        "models.load",
    ),
    View(
        "data",
        "2",
        "Data",
        "Make a set of prompts or open your own file. "
        "The prompt under the cursor is shown as the model's tokens, clean over corrupt, with named positions.",
        "tui.panes.prompts:PromptsPane",
        lambda stored, step: stored.kind == "prompts",
        "prompts.make",
    ),
    View(
        "sweep",
        "3",
        "Sweep",
        "Ablate every head and MLP and see what each does to the metric, as a layer x head heatmap. "
        "Every other matrix of a circuit method is here too; all fill in while they run, and enter opens an entry.",
        "tui.panes.sweep:SweepPane",
        lambda stored, step: (
            stored.kind == "matrix" and step.operation.startswith("circuits.") and not _about_attention(step)
        ),
        "circuits.head_sweep",
    ),
    View(
        "attention",
        "4",
        "Attention",
        "Where each token looks: the pattern of any head and prompt as a heatmap with token labels. "
        "All heads as thumbnails, clean, corrupt or their difference, or the average over the set.",
        "tui.panes.attention:AttentionPane",
        lambda stored, step: stored.kind == "matrix" and _about_attention(step),
        "circuits.attention_patterns",
    ),
    View(
        "circuit",
        "5",
        "Circuit",
        "The circuit as a layered graph with its scores, and beside it the metric as edges go, held-out prompts too. "
        "Levels of detail, a threshold, a focus cone, a matrix where it is dense, and another circuit to compare with.",
        "tui.panes.circuit:CircuitPane",
        lambda stored, step: stored.kind == "graph" and step.operation.startswith(("circuits.", "rasp.")),
        "circuits.greedy_sweep",
    ),
    View(
        "program",
        "6",
        "Program",
        "A network turned into a program, a recurrent one by way of its states and its machine, and the verdicts. "
        "Every stage opens; an input is stepped through them all at once; another network's program stands beside.",
        "tui.panes.program:ProgramPane",
        lambda stored, step: (
            stored.kind == "program" or (stored.kind == "table" and step.operation == "synthesis.benchmark")
        ),
        "synthesis.extract",
        first=True,
    ),
    View(
        "history",
        "7",
        "History",
        "The timeline: every step with its parameters, status and results, and your notes. "
        "Choose a step and every view shows it; play the investigation back; run it again from any step.",
        "tui.panes.history:HistoryPane",
        lambda stored, step: False,
    ),
    View(
        "rasp",
        "8",
        "RASP",
        "Write a RASP program and see its variables and the model it would become as you type. "
        "Run an input: every s-op's values, and each selector beside the attention of the head that computes it.",
        "tui.panes.rasp:RaspPane",
        lambda stored, step: step.operation == "rasp.trace",
        "rasp.compile",
    ),
)

VIEW_OF: dict[str, View] = {view.id: view for view in VIEWS}
