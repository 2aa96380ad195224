"""The 62 tasks again, for one sequence at a time in plain Python, written from the benchmark's description alone.

Where it can be, by another definition than the targets use: additions and divisions of whole numbers, brackets by
cancelling pairs, sums over prefixes in place of running totals.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

Rows = list[tuple[int, ...]]
Reference = Callable[[Rows], list[tuple[int, ...]]]


def by_prefix(answer: Callable[[list[int]], int]) -> Reference:
    """One input; the output is a function of everything read so far."""
    return lambda rows: [(answer([x for (x,) in rows[: t + 1]]),) for t in range(len(rows))]


def by_pair(answer: Callable[[int, int], int]) -> Reference:
    return lambda rows: [(answer(p, q),) for p, q in rows]


def back(xs: list[int], k: int) -> int:
    return xs[-1 - k] if k < len(xs) else 0


def last(xs: list[int], count: int) -> list[int]:
    return [back(xs, k) for k in range(count)]


def addition(base: int) -> Reference:
    def digits(rows: Rows) -> list[tuple[int, ...]]:
        total = sum((p + q) * base**k for k, (p, q) in enumerate(rows))
        return [(total // base**k % base,) for k in range(len(rows))]

    return digits


def division(divisor: int) -> Reference:
    def bits(rows: Rows) -> list[tuple[int, ...]]:
        quotient = int("".join(str(x) for (x,) in rows), 2) // divisor
        return [(int(bit),) for bit in f"{quotient:0{len(rows)}b}"]

    return bits


def most_frequent(xs: list[int]) -> int:
    return min(set(xs), key=lambda value: (-xs.count(value), value))


def balanced(xs: list[int]) -> int:
    text = "".join("()"[x] for x in xs)
    while "()" in text:
        text = text.replace("()", "")
    return int(not text)


def alternates(count: int) -> Callable[[list[int]], int]:
    patterns = [[k % 2 for k in range(count)], [1 - k % 2 for k in range(count)]]
    return lambda xs: int(last(xs, count) in patterns)


def dithered(xs: list[int]) -> int:
    """The next whole level that the sum of fifteenths has passed with this element."""
    before, after = Fraction(sum(xs[:-1]), 15), Fraction(sum(xs), 15)
    return after.__floor__() - before.__floor__()


def freebody(xs: list[int]) -> int:
    """Each push counts once for every moment since."""
    return sum(force * (len(xs) - k) for k, force in enumerate(xs))


def spring(xs: list[int]) -> int:
    """From the last two positions: p(t+1) = p(t) + (p(t) - p(t-1)) + force - p(t)."""
    positions = [0, 0]
    for force in xs:
        positions.append(positions[-1] + (positions[-1] - positions[-2]) + force - positions[-1])
    return positions[-1]


def magnetic(rows: Rows) -> list[tuple[int, ...]]:
    """In the complex plane: the velocity turns by 1 + i and the force is added."""
    velocity = position = 0j
    found: list[tuple[int, ...]] = []
    for a, b in rows:
        velocity = velocity * (1 + 1j) + complex(a, b)
        position += velocity
        found.append((int(position.real), int(position.imag)))
    return found


def dot(rows: Rows) -> list[tuple[int, ...]]:
    return [(sum(p * q for p, q in rows[: t + 1]) % 2,) for t in range(len(rows))]


REFERENCES: dict[str, Reference] = {
    "Binary_Addition": addition(2),
    **{f"Base_{base}_Addition": addition(base) for base in range(3, 8)},
    "Bitwise_Xor": by_pair(lambda p, q: int(p + q == 1)),
    "Bitwise_Or": by_pair(lambda p, q: int(p + q > 0)),
    "Bitwise_And": by_pair(lambda p, q: int(p + q == 2)),
    "Bitwise_Not": by_prefix(lambda xs: int(xs[-1] == 0)),
    **{f"Parity_Last{k}": by_prefix(lambda xs, k=k: sum(xs[-k:]) % 2) for k in (2, 3, 4)},  # type: ignore[misc]
    "Parity_All": by_prefix(lambda xs: sum(xs) % 2),
    "Parity_Zeros": by_prefix(lambda xs: xs.count(0) % 2),
    "Evens_Counter": by_prefix(lambda xs: sum(x in (0, 2, 4, 6, 8) for x in xs)),
    "Sum_All": by_prefix(sum),
    **{f"Sum_Last{k}": by_prefix(lambda xs, k=k: sum(xs[-k:])) for k in range(2, 8)},  # type: ignore[misc]
    "Current_Number": by_prefix(lambda xs: xs[-1]),
    **{f"Prev{k}": by_prefix(lambda xs, k=k: back(xs, k)) for k in range(1, 6)},  # type: ignore[misc]
    "Previous_Equals_Current": by_prefix(lambda xs: int(xs[-1] == back(xs, 1))),
    "Diff_Last2": by_prefix(lambda xs: xs[-1] - back(xs, 1)),
    "Abs_Diff": by_prefix(lambda xs: max(xs[-1], back(xs, 1)) - min(xs[-1], back(xs, 1))),
    "Abs_Current": by_prefix(lambda xs: max(xs[-1], -xs[-1])),
    "Diff_Abs_Values": by_prefix(lambda xs: max(xs[-1], -xs[-1]) - max(back(xs, 1), -back(xs, 1))),
    "Min_Seen": by_prefix(min),
    "Max_Seen": by_prefix(max),
    **{f"Majority_0_{high}": by_prefix(most_frequent) for high in (1, 2, 3)},
    "Evens_Detector": by_prefix(lambda xs: int(xs[-1] in (0, 2, 4, 6, 8))),
    "Perfect_Square_Detector": by_prefix(lambda xs: int(any(k * k == xs[-1] for k in range(5)))),
    "Bit_Palindrome": by_prefix(lambda xs: int(xs == list(reversed(xs)))),
    "Balanced_Parenthesis": by_prefix(balanced),
    "Parity_Bits_Mod2": by_prefix(lambda xs: (len(xs) - 1) % 2),
    "Alternating_Last3": by_prefix(alternates(3)),
    "Alternating_Last4": by_prefix(alternates(4)),
    "Bit_Shift_Right": by_prefix(lambda xs: back(xs, 1)),
    "Bit_Dot_Prod_Mod2": dot,
    **{f"Div_{divisor}": division(divisor) for divisor in (3, 5, 7)},
    **{f"Add_Mod_{m}": by_prefix(lambda xs, m=m: sum(xs) % m) for m in range(3, 9)},  # type: ignore[misc]
    "Dithering": by_prefix(dithered),
    "Newton_Freebody": by_prefix(freebody),
    "Newton_Gravity": by_prefix(lambda xs: freebody(xs) - len(xs) * (len(xs) + 1) // 2),
    "Newton_Spring": by_prefix(spring),
    "Newton_Magnetic": magnetic,
}
