"""How each of the 62 bundled networks is trained, one line per task.

`hidden` is the smallest that the published table has where that trains; what was tried is in record.jsonl.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Drawing = Literal["task", "whole", "brackets", "ties", "borders"]


class Plan(NamedTuple):
    """How one task's network is made; widths of hidden layers as in RnnConfig, options of training as in Recipe.

    `draw`: sequences of the task; every sequence there is, each time; brackets that stay open; symbols that catch up.
    `near_zero`: share of the sequences whose elements are small (ranges of more than ten values). `length`: positions
    per training sequence, 0 for the task's own (only for drawings other than "task"). `enough`: training stops at this
    largest output error; with `noise` it never stops early. `refine`: the network of the smallest error is
    trained on, for so many steps from this learning rate, on sequences drawn so. `mine`: it is then trained
    on with what it does worst, for so many rounds from this learning rate. `polish`: L-BFGS steps in float64 at
    the end.
    """

    hidden: int
    f: tuple[int, ...] = ()
    g: tuple[int, ...] = ()
    seeds: int = 12
    seed: int = 0
    steps: int = 4_000
    lr: float = 5e-3
    batch: int = 256
    curriculum: bool = True
    squared: bool = False
    spread: bool = False
    halve: tuple[int, ...] = ()
    noise: float = 0.0
    draw: Drawing = "task"
    near_zero: float = 0.25
    length: int = 0
    enough: float = 0.005
    refine: tuple[int, float, Drawing] | None = None
    mine: tuple[int, float] | None = None
    polish: int = 0


# An affine network is done when L-BFGS can take over: outputs of up to 700 then come out right to a few thousandths.
AFFINE = Plan(1, enough=0.2, polish=300)
DELAY = AFFINE._replace(curriculum=False, steps=6_000, seeds=16)  # the last of several elements, kept or summed
SMALL = Plan(1, (6,), lr=1e-2)
KINKS = Plan(1, (32,), seeds=16, steps=8_000, lr=1e-2, batch=512, squared=True, halve=(2_000, 3_500))
SPREAD = KINKS._replace(spread=True, halve=(1_500, 3_000))
BASE = Plan(2, (12,), seeds=16, steps=5_000, batch=512)

PLANS: dict[str, Plan] = {
    "Binary_Addition": Plan(2, (6,), seeds=16, steps=6_000, lr=3e-3, batch=512),
    "Base_3_Addition": BASE,
    "Base_4_Addition": BASE,
    "Base_5_Addition": BASE,
    "Base_6_Addition": BASE,
    "Base_7_Addition": BASE,
    "Bitwise_Xor": SMALL,
    "Bitwise_Or": SMALL,
    "Bitwise_And": SMALL,
    "Bitwise_Not": AFFINE,
    "Parity_Last2": Plan(2, (8,), lr=1e-2),
    "Parity_Last3": Plan(3, (8,), seeds=24, steps=6_000, lr=3e-3, batch=512),
    "Parity_Last4": Plan(4, (24,), draw="whole"),
    "Parity_All": Plan(1, (6,), seeds=16, steps=6_000, lr=3e-3, batch=512),
    "Parity_Zeros": SMALL,
    "Evens_Counter": SPREAD._replace(f=(48,)),
    "Sum_All": AFFINE,
    **{f"Sum_Last{count}": DELAY._replace(hidden=count) for count in range(2, 8)},
    "Current_Number": AFFINE,
    **{f"Prev{back}": DELAY._replace(hidden=back + 1) for back in range(1, 6)},
    "Previous_Equals_Current": Plan(2, (24,), seeds=16, steps=6_000, spread=True),
    "Diff_Last2": DELAY._replace(hidden=2),
    "Abs_Diff": Plan(2, (), (8,), polish=300),
    "Abs_Current": Plan(1, (8,), polish=300),
    "Diff_Abs_Values": Plan(2, (12,), polish=300),
    "Min_Seen": Plan(1, (8,)),
    "Max_Seen": Plan(1, (8,), polish=300),
    "Majority_0_1": Plan(2, (16,), seeds=16, steps=5_000, lr=3e-3, squared=True, halve=(1_500, 3_000), draw="whole"),
    "Majority_0_2": Plan(
        4, (32,), (32, 32), 8, steps=10_000, lr=3e-3, batch=512, squared=True, spread=True, halve=(2_000, 4_000),
        draw="ties",
    ),
    "Majority_0_3": Plan(
        6,
        (32,),
        (96, 64),
        seeds=2,
        seed=1,
        steps=16_000,
        lr=4e-3,
        batch=512,
        squared=True,
        spread=True,
        draw="ties",
        mine=(60, 1e-3),
    ),
    "Evens_Detector": Plan(1, (24,), seeds=16, squared=True, spread=True, lr=1e-2),
    "Perfect_Square_Detector": SPREAD._replace(f=(48,)),
    "Bit_Palindrome": Plan(
        20, (128,), seeds=4, seed=1, steps=10_000, lr=3e-3, squared=True, halve=(3_000,), draw="whole"
    ),
    "Balanced_Parenthesis": Plan(
        2, (16,), seeds=24, steps=8_000, lr=3e-3, batch=384, noise=0.05, draw="brackets", length=14
    ),
    "Parity_Bits_Mod2": AFFINE,
    "Alternating_Last3": Plan(3, (12,), draw="whole"),
    "Alternating_Last4": Plan(4, (24,), draw="whole"),
    "Bit_Shift_Right": DELAY._replace(hidden=2),
    "Bit_Dot_Prod_Mod2": Plan(1, (6,), seeds=16, steps=6_000, lr=3e-3, batch=512),
    "Div_3": Plan(2, (16,), seeds=32, steps=15_000, lr=3e-3, batch=512),
    "Div_5": Plan(3, (48,), steps=6_000, squared=True, halve=(1_500, 3_000), draw="whole"),
    "Div_7": Plan(4, (64,), steps=6_000, halve=(2_000, 4_000), draw="whole"),
    "Add_Mod_3": KINKS._replace(f=(16,), steps=4_000),
    "Add_Mod_4": KINKS._replace(f=(16,), steps=4_000),
    "Add_Mod_5": SPREAD._replace(f=(16,), steps=4_000),
    "Add_Mod_6": KINKS,
    # Not exact with this seed (3 of 6,373); the bundled one is of an earlier training: see the record.
    "Add_Mod_7": Plan(1, (16, 16), seeds=12, steps=4_000, batch=512),
    "Add_Mod_8": KINKS,
    "Dithering": Plan(
        2,
        (24, 24),
        seeds=14,
        steps=9_000,
        batch=512,
        spread=True,
        halve=(1_500, 3_000),
        near_zero=0.0,
        refine=(7_000, 1e-3, "borders"),
        mine=(40, 5e-4),
    ),
    "Newton_Freebody": AFFINE._replace(hidden=2),
    "Newton_Gravity": AFFINE._replace(hidden=2),
    "Newton_Spring": AFFINE._replace(hidden=2),
    "Newton_Magnetic": AFFINE._replace(hidden=4),
}  # fmt: skip
