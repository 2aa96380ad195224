"""What was published about the 62 tasks: the networks found, the training steps, and who solved what.

Source: arXiv:2402.05110, its table, with the printed columns of f and g put right (mips_benchmark, sections 1 and 2.3).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from engine.synthesis.tasks.benchmark import TASKS

GPT4 = Literal["yes", "partly", "no"]
TOTALS = {"MIPS": 32, "GPT-4": 30, "GPT-4 strict": 20, "either": 43, "MIPS only": 13, "GPT-4 only": 11, "neither": 19}


class Published(NamedTuple):
    """`hidden` numbers; width and depth (affine layers) of f; training steps in thousands; solved by MIPS; by GPT-4
    ("partly": the saved scripts reproduce only some of the rows they print). g is affine but for Abs_Diff."""

    hidden: int
    f_width: int
    f_depth: int
    thousand_steps: int
    mips: bool
    gpt4: GPT4
    g_width: int = 1
    g_depth: int = 1


_ROWS = """
2 4x2 10 1 0|2 5x2 20 0 0|2 5x2 20 0 0|2 5x2 20 0 0|2 6x2 20 0 p|2 10x2 20 0 0|1 2x2 10 1 1|1 1x1 10 1 1|1 1x1 10 1 p
1 1x1 10 1 1|1 229x2 10 1 p|2 5x2 10 1 0|3 29x2 10 0 0|1 2x2 10 1 0|1 2x2 20 1 0|4 73x3 20 0 0|1 1x1 10 1 1
2 1x1 10 1 0|3 1x1 10 1 0|4 1x1 10 1 p|5 1x1 10 1 1|6 1x1 10 1 1|7 1x1 10 1 1|1 1x1 10 1 1|2 1x1 10 1 1|3 1x1 10 1 1
4 1x1 10 1 1|5 1x1 10 1 1|6 1x1 10 1 1|2 5x2 10 1 0|2 1x1 10 1 0|2 1x1/2x2 10 1 0|1 2x2 10 1 1|2 4x2 10 0 1|1 2x2 20 0 1
1 2x2 20 0 1|1 63x2 20 0 p|4 98x2 20 0 0|21 132x3 20 0 0|5 163x2 20 0 1|48 100x2 20 0 0|18 86x2 20 0 p|1 16x2 20 0 0
1 1x1 20 0 1|2 3x2 20 0 0|2 3x2 20 0 p|2 1x1 20 1 p|1 3x2 20 1 0|2 59x2 10 0 p|4 76x2 10 0 0|4 103x2 10 0 0
1 149x2 10 1 1|2 33x2 10 0 0|3 43x2 10 0 0|4 108x2 10 0 0|4 199x2 10 0 0|67 134x2 10 0 0|81 166x2 10 0 p|2 1x1 10 1 0
2 1x1 10 1 0|2 1x1 10 1 0|4 1x1 10 0 0
"""


def _row(text: str) -> Published:
    hidden, f, steps, mips, gpt4 = text.split()
    f, _, g = f.partition("/")
    (width, depth), (g_width, g_depth) = f.split("x"), (g or "1x1").split("x")
    told: dict[str, GPT4] = {"1": "yes", "p": "partly", "0": "no"}
    return Published(
        int(hidden), int(width), int(depth), int(steps), mips == "1", told[gpt4], int(g_width), int(g_depth)
    )


PUBLISHED: dict[str, Published] = {
    task.name: _row(text) for task, text in zip(TASKS, _ROWS.strip().replace("\n", "|").split("|"), strict=True)
}
