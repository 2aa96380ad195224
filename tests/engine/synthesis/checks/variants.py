"""Other programs for the same 62 tasks, as different from the specifications as a method might write them."""

from __future__ import annotations


def program(starts: str, body: str, given: str = "y", inputs: int = 1) -> str:
    """A loop; lines are separated by `; `, an indented line begins with `> `."""
    before = [f"    {line}" for line in starts.split("; ") if line]
    lines = [
        "        " + line.replace("> ", "    ", 1) if line.startswith("> ") else f"        {line}"
        for line in body.split("; ")
        if line
    ]
    head = ("s", "x in s") if inputs == 1 else ("s, t", "p, q in zip(s, t)")
    return (
        "\n".join(
            [f"def f({head[0]}):", *before, "    ys = []", f"    for {head[1]}:", *lines, f"        ys.append({given})"]
        )
        + "\n    return ys\n"
    )


def _addition(base: int) -> str:
    """The state is the whole last sum, not the carry."""
    return program("v = 0", f"v = p + q + (v >= {base}); y = v - {base} if v >= {base} else v", inputs=2)


def _last_sum(count: int) -> str:
    """A running sum of the window, from which the oldest is taken."""
    names = [f"a{k}" for k in range(1, count + 1)]
    shifted = ", ".join(["x", *names[:-1]])
    return program(
        f"total = {' = '.join(names)} = 0", f"total += x - {names[-1]}; {', '.join(names)} = {shifted}", "total"
    )


def _earlier(back: int) -> str:
    names = [f"a{k}" for k in range(back + 1)]
    return program(f"{' = '.join(names)} = 0", f"{', '.join(names)} = {', '.join(['x', *names[:-1]])}", names[-1])


def _division(divisor: int) -> str:
    return program("v = 0", f"v = v % {divisor} * 2 + x; y = int(v >= {divisor})")


VARIANTS: dict[str, str] = {
    "Binary_Addition": program("c = 0", "y = p ^ q ^ c; c = p & q | c & (p ^ q)", inputs=2),
    **{f"Base_{base}_Addition": _addition(base) for base in range(3, 8)},
    "Bitwise_Xor": program("", "y = p ^ q", inputs=2),
    "Bitwise_Or": program("", "y = max(p, q)", inputs=2),
    "Bitwise_And": program("", "y = p * q", inputs=2),
    "Bitwise_Not": program("", "y = 1 - x"),
    "Parity_Last2": program("a = 0", "y = a ^ x; a = x"),
    "Parity_Last3": program("a = b = 0", "y = x ^ a ^ b; a, b = x, a"),
    "Parity_Last4": program("k = 0", "y = (x + k % 2 + k // 2 % 2 + k // 4) % 2; k = 2 * (k % 4) + x"),
    "Parity_All": program("y = 0", "y = x ^ y"),
    "Parity_Zeros": program("y = 0", "y = 1 - (x ^ y)"),
    "Evens_Counter": program("y = 0", "y += 1 - x % 2"),
    "Sum_All": program("y = 0", "y = y + x"),
    **{f"Sum_Last{count}": _last_sum(count) for count in range(2, 8)},
    "Current_Number": program("", "", "x"),
    **{f"Prev{back}": _earlier(back) for back in range(1, 6)},
    "Previous_Equals_Current": program("a = 0", "y = int(a == x); a = x"),
    "Diff_Last2": program("a = 0", "y = a + x; a = -x"),
    "Abs_Diff": program("a = 0", "y = max(a, x) - min(a, x); a = x"),
    "Abs_Current": program("", "y = max(x, -x)"),
    "Diff_Abs_Values": program("a = 0", "y = abs(x) + a; a = -abs(x)"),
    "Min_Seen": program("y = 9", "y = min(x, y)"),
    "Max_Seen": program("y = 0", "y = max(x, y)"),
    "Majority_0_1": program("k = 0", "k += x + x - 1; y = int(k > 0)"),
    "Majority_0_2": program(
        "a = b = 0",  # by how much the second and the third value lead over the first
        "a = a + 1 if x == 1 else a - (x == 0); b = b + 1 if x == 2 else b - (x == 0); "
        "y = 2 if b > max(a, 0) else int(a > 0)",
    ),
    "Majority_0_3": program(
        "a = b = c = 0",
        "a = a + (x == 1) - (x == 0); b = b + (x == 2) - (x == 0); c = c + (x == 3) - (x == 0); m = max(a, b, c, 0); "
        "y = 0 if m == 0 else 1 if m == a else 2 if m == b else 3",
    ),
    "Evens_Detector": program("", "y = 1 - x % 2"),
    "Perfect_Square_Detector": program(
        "", "r = 1 if x < 4 else 2 if x < 9 else 3 if x < 16 else 4; y = 1 if x == 0 else int(r * r == x)"
    ),
    "Bit_Palindrome": program("w = 1; v = u = 0", "u, v, w = u + v + x - w * x, 2 * v + x, w + w; y = int(u == 0)"),
    "Balanced_Parenthesis": program("k = 0", "k = k if k < 0 else k - x - x + 1; y = int(k == 0)"),
    "Parity_Bits_Mod2": program("y = 1", "y = 1 - y"),
    "Alternating_Last3": program("a = b = 0", "y = int(x == b and x + a == 1); a, b = x, a"),
    "Alternating_Last4": program("n = 1; a = 0", "n = min(n + 1, 4) if x != a else 1; y = int(n == 4); a = x"),
    "Bit_Shift_Right": program("k = 0", "k = 2 * (k % 2) + x; y = k // 2"),
    "Bit_Dot_Prod_Mod2": program("y = 0", "y = y ^ p & q", inputs=2),
    **{f"Div_{divisor}": _division(divisor) for divisor in (3, 5, 7)},
    **{f"Add_Mod_{m}": program("y = 0", f"y = (x + y) % {m}") for m in range(3, 9)},
    "Dithering": program("t = 0", "o = t; t = t + x; y = t // 15 - o // 15"),
    "Newton_Freebody": program("y = z = 0", "y, z = 2 * y - z + x, y"),
    "Newton_Gravity": program("y = z = 0", "y, z = y + y - z + x - 1, y"),
    "Newton_Spring": program("y = z = 0", "y, z = y - z + x, y"),
    "Newton_Magnetic": program(
        "a = b = c = d = 0", "a, b, c, d = 2 * a - c + p - b + d, 2 * b - d + q + a - c, a, b", "(a, b)", inputs=2
    ),
}
