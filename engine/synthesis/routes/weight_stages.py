"""The first two stages of an extraction as artifacts: the weights as they were trained, and in normal form."""

from __future__ import annotations

import numpy as np

from engine.models.cells import as_mips, why_not_mips
from engine.models.protocols import RecurrentModel
from engine.synthesis.normal_forms.network import Network, network_of
from engine.synthesis.normal_forms.pipeline import STEPS, Thresholds, normalised
from engine.synthesis.routes.behaviour import Behaviour
from sessions.artifacts import AnyArtifact, Axis, Matrix

MEASURED = 512  # sequences on which each step is held against the network
LARGEST = 64  # hidden numbers of a network whose weights are shown


def weight_stages(model: RecurrentModel, behaviour: Behaviour) -> tuple[list[AnyArtifact], str]:
    """Both matrices; or none, and why they do not apply to this network."""
    shown = as_mips(model)
    if shown is None:
        return [], why_not_mips(model)
    if model.hidden > LARGEST:
        return [], f"not shown: {model.hidden} hidden numbers"
    network = network_of(shown.weights)
    chosen = np.unique(np.linspace(0, len(behaviour.x) - 1, min(len(behaviour.x), MEASURED)).astype(np.int64))
    found = normalised(network, STEPS, Thresholds(), behaviour.x[chosen].astype(np.float64))
    told = {one.change.step: one.undone or one.change.decided for one in found}
    applied = [one.change.step for one in found if one.change.applied and not one.undone]
    before = _matrix(network, f"Weights {model.task}", "as trained", {"stage": "weights"})
    after = _matrix(
        found[-1].network,
        f"Normal form {model.task}",
        f"after {', '.join(applied)}" if applied else "no step changed it",
        {"stage": "normal form", "measured on": f"{len(chosen)} observed sequences", **told},
    )
    return [before, after], ""


def _matrix(network: Network, title: str, summary: str, facts: dict[str, str]) -> Matrix:
    """W, V and b: how each new hidden number comes from the old ones and the input, with f's ReLUs taken away."""
    values = np.concatenate([network.hidden_columns, network.input_columns, network.f[-1].bias[:, None]], axis=1)
    hidden = tuple(f"h{k + 1}" for k in range(network.hidden))
    read = ("x",) if network.inputs == 1 else tuple(f"x{k + 1}" for k in range(network.inputs))
    return Matrix(
        title=title.rstrip(),
        summary=summary,
        values=values,
        axes=(Axis("to", hidden), Axis("from", (*hidden, *read, "bias"))),
        unit="weight",
        scale="diverging",
        facts=facts,
    )
