"""What a meta-model of either size is trained on, and how."""

from __future__ import annotations

from typing import NamedTuple

from engine.rasp.metamodel.architecture import PUBLISHED, SMOKE, Size
from engine.rasp.metamodel.training import PUBLISHED as PUBLISHED_RECIPE
from engine.rasp.metamodel.training import SMOKE as SMOKE_RECIPE
from engine.rasp.metamodel.training import Recipe
from engine.rasp.sampling.shard import Plan

KEPT = 0.9  # share of the residual directions in the published dense models


class Preset(NamedTuple):
    size: Size
    recipe: Recipe
    plan: Plan
    programs: int  # in all splits


PRESETS = {
    # Programs of two operations over three values, inputs of up to three: little to read, little to write.
    "smoke": Preset(
        SMOKE,
        SMOKE_RECIPE,
        Plan(shard_size=250, shortest=3, longest=4, vocab_size=3, max_len=3, held_out=0.06),
        3_500,
    ),
    # The published dataset is 1.6 million programs: made with rasp.dataset, given as dataset=FOLDER.
    "published": Preset(PUBLISHED, PUBLISHED_RECIPE, Plan(), 100_000),
}
