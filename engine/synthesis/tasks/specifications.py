"""What each of the 62 tasks asks, as a plain program in the language of the emitted ones: what proofs compare with.

Written as loops from the benchmark's description (mips_benchmark, section 1), apart from the targets in `targets.py`;
the tests hold the two against each other. For checks only: no method that extracts a program may look in here.
"""

from __future__ import annotations

from collections.abc import Sequence


def _program(body: Sequence[str], *starts: str, inputs: int = 1, outputs: str = "y") -> str:
    """A function of one or two sequences, with its starts, and the lines of its loop."""
    arguments, loop = ("s", "x in s") if inputs == 1 else ("s, t", "p, q in zip(s, t)")
    lines = [f"def f({arguments}):", *(f"    {start}" for start in starts), "    ys = []", f"    for {loop}:"]
    return (
        "\n".join([*lines, *(f"        {line}" for line in body), f"        ys.append({outputs})", "    return ys"])
        + "\n"
    )


def _addition(base: int) -> str:
    """Digits of the sum, least significant first, with a carry."""
    body = ["total = p + q + carry", f"y = total % {base}", f"carry = total // {base}"]
    return _program(body, "carry = 0", inputs=2)


def _window(formula: str, back: int) -> str:
    """A formula of x and the elements before it, x1 the last one; 0 before the start."""
    shifts = [f"x{k} = x{k - 1}" if k > 1 else "x1 = x" for k in range(back, 0, -1)]
    return _program([f"y = {formula}", *shifts], *(f"x{k} = 0" for k in range(1, back + 1)))


def _summed(count: int) -> str:
    return " + ".join(["x", *(f"x{k}" for k in range(1, count))])


def _counted(condition: str, after: str = "count") -> str:
    return _program([f"if {condition}:", "    count = count + 1", f"y = {after}"], "count = 0")


def _majority(high: int) -> str:
    """Each value is counted; a later value takes the lead only with strictly more."""
    body = []
    for value in range(high + 1):
        body += [f"if x == {value}:", f"    n{value} = n{value} + 1"]
    body += ["y = 0", "most = n0"]
    for value in range(1, high + 1):
        body += [f"if n{value} > most:", f"    y = {value}", f"    most = n{value}"]
    return _program(body, *(f"n{value} = 0" for value in range(high + 1)))


def _detected(condition: str) -> str:
    return _program([f"y = 1 if {condition} else 0"])


def _division(divisor: int) -> str:
    """Long division, most significant bit first."""
    return _program(["v = 2 * r + x", f"y = v // {divisor}", f"r = v % {divisor}"], "r = 0")


def _moved(*forces: str) -> str:
    """Velocity first, then position, from rest at the origin."""
    return _program([*forces, "position = position + velocity"], "velocity = 0", "position = 0", outputs="position")


# Two numbers are kept of what was read: `value` reads it forwards, the first bit counting most, `mirror` backwards, the
# first bit counting least. They are equal exactly if the bits read backwards are the same bits: a palindrome.
_PALINDROME = _program(
    [
        "value = 2 * value + x",
        "mirror = mirror + place * x",
        "place = 2 * place",
        "y = 1 if value == mirror else 0",
    ],
    *("value = 0", "mirror = 0", "place = 1"),
)

SPECIFICATIONS: dict[str, str] = {
    "Binary_Addition": _addition(2),
    **{f"Base_{base}_Addition": _addition(base) for base in range(3, 8)},
    "Bitwise_Xor": _program(["y = 1 if p != q else 0"], inputs=2),
    "Bitwise_Or": _program(["y = 1 if p == 1 or q == 1 else 0"], inputs=2),
    "Bitwise_And": _program(["y = 1 if p == 1 and q == 1 else 0"], inputs=2),
    "Bitwise_Not": _detected("x == 0"),
    **{f"Parity_Last{count}": _window(f"({_summed(count)}) % 2", count - 1) for count in (2, 3, 4)},
    "Parity_All": _counted("x == 1", "count % 2"),
    "Parity_Zeros": _counted("x == 0", "count % 2"),
    "Evens_Counter": _counted("x % 2 == 0"),
    "Sum_All": _program(["total = total + x"], "total = 0", outputs="total"),
    **{f"Sum_Last{count}": _window(_summed(count), count - 1) for count in range(2, 8)},
    "Current_Number": _program([], outputs="x"),
    **{f"Prev{back}": _window(f"x{back}", back) for back in range(1, 6)},
    "Previous_Equals_Current": _window("1 if x == x1 else 0", 1),
    "Diff_Last2": _window("x - x1", 1),
    "Abs_Diff": _window("abs(x - x1)", 1),
    "Abs_Current": _program(["y = x if x >= 0 else -x"]),
    "Diff_Abs_Values": _window("abs(x) - abs(x1)", 1),
    "Min_Seen": _program(
        ["if first == 1 or x < least:", "    least = x", "first = 0"], "first = 1", "least = 0", outputs="least"
    ),
    "Max_Seen": _program(
        ["if first == 1 or x > most:", "    most = x", "first = 0"], "first = 1", "most = 0", outputs="most"
    ),
    **{f"Majority_0_{high}": _majority(high) for high in (1, 2, 3)},
    "Evens_Detector": _detected("x % 2 == 0"),
    "Perfect_Square_Detector": _detected("x == 0 or x == 1 or x == 4 or x == 9 or x == 16"),
    "Bit_Palindrome": _PALINDROME,
    "Balanced_Parenthesis": _program(
        [
            "depth = depth + 1 if x == 0 else depth - 1",
            "if depth < 0:",
            "    broken = 1",
            "y = 1 if depth == 0 and broken == 0 else 0",
        ],
        *("depth = 0", "broken = 0"),
    ),
    "Parity_Bits_Mod2": _program(["y = time % 2", "time = time + 1"], "time = 0"),
    "Alternating_Last3": _window("1 if x != x1 and x1 != x2 else 0", 2),
    "Alternating_Last4": _window("1 if x != x1 and x1 != x2 and x2 != x3 else 0", 3),
    "Bit_Shift_Right": _window("x1", 1),
    "Bit_Dot_Prod_Mod2": _program(
        ["if p == 1 and q == 1:", "    total = total + 1", "y = total % 2"], "total = 0", inputs=2
    ),
    **{f"Div_{divisor}": _division(divisor) for divisor in (3, 5, 7)},
    **{f"Add_Mod_{m}": _program(["total = total + x", f"y = total % {m}"], "total = 0") for m in range(3, 9)},
    "Dithering": _program(["v = e + x", "y = v // 15", "e = v % 15"], "e = 0"),
    "Newton_Freebody": _moved("velocity = velocity + x"),
    "Newton_Gravity": _moved("velocity = velocity + x - 1"),
    "Newton_Spring": _moved("velocity = velocity + x - position"),
    "Newton_Magnetic": _program(
        ["vx, vy = vx + p - vy, vy + q + vx", "px = px + vx", "py = py + vy"],
        *("vx = 0", "vy = 0", "px = 0", "py = 0"),
        inputs=2,
        outputs="(px, py)",
    ),
}
