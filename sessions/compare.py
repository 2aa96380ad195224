"""Two runs of the same step, artifact by artifact: what `iwb replay --verify` finds to differ.

Whole numbers, text, programs and structure must be equal. Floating-point numbers must agree within a tolerance, because
the batch shape and the number of threads change the order of additions: measured on the head sweep that moves float32
results by about 1e-6 relative. What only describes the machine is not compared.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays

from sessions.artifacts import AnyArtifact, Array, Edge, Graph, Model, Table, Text

# What a run says of the machine and the moment, not of the result.
MACHINE_FACTS = frozenset(
    {
        "batch",
        "batch_size",
        "bytes_free",
        "bytes_needed",
        "device",
        "executor",
        "memory",
        "memory_free",
        "milliseconds",
        "peak_memory",
        "peak_memory_bytes",
        "rate",
        "seconds",
        "threads",
        "time",
        "workers",
    }
)
_MACHINE_FIELDS: dict[str, frozenset[str]] = {
    "model": frozenset({"device", "bytes_needed", "bytes_free"}),
    "program": frozenset({"origin"}),  # artifact numbers: new ones on every run
}
MACHINE_UNITS = frozenset({"ms", "s", "seconds"})  # of a table's column: how long something took
OF_THIS_MACHINE = "of this machine"  # a fact of a text that tells of nothing else
_REFERENCE = re.compile(r"@\d+")
_KEPT = re.compile(r"session:[0-9a-f]{64}")  # a model whose weights the session holds: they are compared themselves
_DURATION = re.compile(r"\d[\d,]*\.?\d* ?(?:ms|milliseconds|s|seconds|minutes)\b")
_WRITTEN_NUMBER = re.compile(r"[-−+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers agree when |got - expected| <= absolute + relative * |expected|.

    The defaults are a hundred times what float32 moves by under another batch shape, and far below any effect of
    interest. Half precision has 11 bits or fewer: arrays stored so are given `half`, relative, instead.
    """

    relative: float = 1e-4
    absolute: float = 1e-5
    half: float = 1e-2

    def __str__(self) -> str:
        return f"{self.relative:g} relative + {self.absolute:g} absolute"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One place where two artifacts differ; `path` as in `values[3, 5]` or `rows[2].score`."""

    path: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, got {self.got}"


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The differences, and the largest deviation among all numbers compared, agreeing ones included.

    Relative deviations are taken where the expected number is above the absolute tolerance: below it they mean nothing.
    """

    differences: tuple[Difference, ...] = ()
    largest_absolute: float = 0.0
    largest_relative: float = 0.0
    largest_at: str = ""  # path of the largest absolute deviation
    numbers: int = 0  # how many floating-point numbers were compared

    @property
    def same(self) -> bool:
        return not self.differences


Weights = Callable[[str], bytes]  # by sha256, as SessionFile.weights gives them


def compare(
    expected: AnyArtifact,
    got: AnyArtifact,
    tolerance: Tolerance | None = None,
    weights: tuple[Weights, Weights] | None = None,
) -> Comparison:
    """What `got` has otherwise than `expected`. NaN equals NaN; infinities must be equal.

    Of models that a session holds the weights themselves are compared, number by number, if `weights` gives both
    sides'; without it their hashes must be equal.
    """
    comparing = _Comparing(tolerance or Tolerance(), weights)
    if expected.kind != got.kind:
        comparing.differ("kind", expected.kind, got.kind)
    else:
        comparing.struct("", expected, got)
    return comparing.result()


def compare_all(
    expected: Sequence[AnyArtifact], got: Sequence[AnyArtifact], tolerance: Tolerance | None = None
) -> tuple[Comparison, ...]:
    """Artifact by artifact, in the order a step left them. A missing or surplus one is a difference."""
    results = [compare(old, new, tolerance) for old, new in zip(expected, got)]
    for missing in expected[len(got) :]:
        results.append(_only(Difference(path="artifact", expected=f"{missing.kind} '{missing.title}'", got="nothing")))
    for surplus in got[len(expected) :]:
        results.append(_only(Difference(path="artifact", expected="nothing", got=f"{surplus.kind} '{surplus.title}'")))
    return tuple(results)


def _only(difference: Difference) -> Comparison:
    return Comparison(differences=(difference,))


class _Comparing:
    """One comparison under way."""

    def __init__(self, tolerance: Tolerance, weights: tuple[Weights, Weights] | None = None) -> None:
        self.tolerance = tolerance
        self.weights = weights
        self.differences: list[Difference] = []
        self.absolute = self.relative = 0.0
        self.at = ""
        self.numbers = 0

    def result(self) -> Comparison:
        return Comparison(
            differences=tuple(self.differences),
            largest_absolute=self.absolute,
            largest_relative=self.relative,
            largest_at=self.at,
            numbers=self.numbers,
        )

    def differ(self, path: str, expected: Any, got: Any) -> None:
        self.differences.append(Difference(path=path, expected=_shown(expected), got=_shown(got)))

    def struct(self, path: str, expected: msgspec.Struct, got: msgspec.Struct) -> None:
        if type(expected) is not type(got):
            self.differ(path, expected, got)
            return
        ignored = _MACHINE_FIELDS.get(str(type(expected).__struct_config__.tag), frozenset())
        if isinstance(expected, Model) and isinstance(got, Model) and self.kept(expected, got):
            ignored |= {"source", "sha256"}
        if isinstance(expected, Text) and expected.facts.get(OF_THIS_MACHINE):
            ignored |= {"markdown"}
        for name in expected.__struct_fields__:
            if name in ignored:
                continue
            place = f"{path}.{name}" if path else name
            old, new = getattr(expected, name), getattr(got, name)
            if name in ("title", "summary"):
                self.sentence(place, old, new)
            elif name == "facts" or (name == "config" and isinstance(expected, Model)):
                self.facts(place, old, new)
            elif isinstance(expected, Graph) and name == "nodes":
                self.keyed(place, _named(old, lambda n: n.id), _named(new, lambda n: n.id))
            elif isinstance(expected, Graph) and name == "edges":
                self.keyed(place, _named(old, _arrow), _named(new, _arrow))
            elif isinstance(expected, Table) and name == "rows":
                self.rows(place, expected, old, new)
            else:
                self.value(place, old, new)

    def kept(self, expected: Model, got: Model) -> bool:
        """Whether the weights of two models were compared as numbers: both are kept by a session, with other bytes."""
        if self.weights is None or not (_KEPT.fullmatch(expected.source) and _KEPT.fullmatch(got.source)):
            return False
        if expected.sha256 == got.sha256:
            return False
        try:
            sides = [load_arrays(of(model.sha256)) for of, model in zip(self.weights, (expected, got))]
        except SafetensorError:
            return False
        self.value("weights", *sides)
        return True

    def value(self, path: str, expected: Any, got: Any) -> None:
        match expected, got:
            case (np.ndarray(), np.ndarray()):
                self.array(path, expected, got)
            case (msgspec.Struct(), msgspec.Struct()):
                self.struct(path, expected, got)
            case (bool(), bool()) | (str(), str()):
                if expected != got:
                    self.differ(path, expected, got)
            case (int() | float(), int() | float()) if not isinstance(expected, bool) and not isinstance(got, bool):
                if isinstance(expected, int) and isinstance(got, int):
                    if expected != got:
                        self.differ(path, expected, got)
                else:
                    self.array(path, np.array(float(expected)), np.array(float(got)))
            case (dict(), dict()):
                for key in expected.keys() | got.keys():
                    place = f"{path}.{key}"
                    if key in expected and key in got:
                        self.value(place, expected[key], got[key])
                    else:
                        self.differ(place, expected.get(key, "nothing"), got.get(key, "nothing"))
            case (tuple() | list(), tuple() | list()):
                if len(expected) != len(got):
                    self.differ(path, f"{len(expected)} entries", f"{len(got)} entries")
                else:
                    for index, (old, new) in enumerate(zip(expected, got)):
                        self.value(f"{path}[{index}]", old, new)
            case _:
                if type(expected) is not type(got) or expected != got:
                    self.differ(path, expected, got)

    def array(self, path: str, expected: Array, got: Array) -> None:
        if expected.shape != got.shape:
            self.differ(path, f"shape {expected.shape}", f"shape {got.shape}")
            return
        if expected.dtype.kind not in "fc" and got.dtype.kind not in "fc":
            wrong = expected != got
            self._array_differences(path, expected, got, wrong)
            return
        half = expected.dtype == np.float16 or got.dtype == np.float16
        relative = self.tolerance.half if half else self.tolerance.relative
        wide = np.complex128 if "c" in (expected.dtype.kind, got.dtype.kind) else np.float64
        old, new = expected.astype(wide), got.astype(wide)
        finite = np.isfinite(old) & np.isfinite(new)
        deviation = np.zeros(old.shape)
        np.abs(np.subtract(new, old, out=np.zeros(old.shape, wide), where=finite), out=deviation)
        same_special = (np.isnan(old) & np.isnan(new)) | (old == new)
        size = np.zeros(old.shape)
        np.abs(old, out=size, where=finite)
        within = deviation <= self.tolerance.absolute + relative * size
        self._array_differences(path, expected, got, np.where(finite, ~within, ~same_special))
        self.numbers += old.size
        if finite.any():
            at = np.unravel_index(int(deviation.argmax()), deviation.shape)
            if float(deviation[at]) > self.absolute:
                self.absolute, self.at = float(deviation[at]), path + _index(at)
            scaled = np.divide(deviation, size, out=np.zeros(old.shape), where=size > self.tolerance.absolute)
            self.relative = max(self.relative, float(scaled.max()))

    def _array_differences(self, path: str, expected: Array, got: Array, wrong: Array) -> None:
        """One line for the whole array: how many, and the first of them."""
        count = int(wrong.sum())
        if count:
            first = tuple(int(i) for i in np.argwhere(wrong)[0])
            more = f" (first of {count:,} of {wrong.size:,})" if count > 1 else ""
            self.differ(path + _index(first) + more, expected[first].item(), got[first].item())

    def sentence(self, path: str, expected: str, got: str) -> None:
        """Titles and summaries quote results rounded, so a number may differ by its last written digit; how long
        something took says nothing."""
        expected, got = (_DURATION.sub("some time", text) for text in (expected, got))
        old, new = _WRITTEN_NUMBER.findall(expected), _WRITTEN_NUMBER.findall(got)
        same_words = _WRITTEN_NUMBER.split(expected) == _WRITTEN_NUMBER.split(got)
        if not same_words or any(not _rounding(a, b) for a, b in zip(old, new)):
            self.differ(path, expected, got)

    def facts(self, path: str, expected: dict[str, Any], got: dict[str, Any]) -> None:
        kept = [{k: v for k, v in facts.items() if k not in MACHINE_FACTS} for facts in (expected, got)]
        self.value(path, *(_without_numbers(facts) for facts in kept))

    def rows(self, path: str, table: Table, expected: Sequence[Sequence[Any]], got: Sequence[Sequence[Any]]) -> None:
        """Row by row; by the first column where that names rows, as near ties may change places in a sorted table."""
        old, new = [row[0] for row in expected if row], [row[0] for row in got if row]
        names = [None if column.unit in MACHINE_UNITS else column.name for column in table.columns]
        named = bool(table.columns) and table.columns[0].type == "text" and len(set(old)) == len(old)
        if named and sorted(map(str, old)) == sorted(map(str, new)):
            by_name = {row[0]: row for row in got}
            pairs = [(f"{path}[{row[0]}]", row, by_name[row[0]]) for row in expected]
        elif len(expected) == len(got):
            pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(expected, got))]
        else:
            self.differ(path, f"{len(expected)} rows", f"{len(got)} rows")
            return
        for place, a, b in pairs:
            for name, x, y in zip(names, a, b):
                if name is not None:
                    self.value(f"{place}.{name}", x, y)

    def keyed(self, path: str, expected: dict[str, Any], got: dict[str, Any]) -> None:
        """Nodes and edges by what they are, not by their place in the list."""
        for name in expected.keys() | got.keys():
            if name in expected and name in got:
                self.value(f"{path}[{name}]", expected[name], got[name])
            else:
                present, absent = ("present", "absent") if name in expected else ("absent", "present")
                self.differ(f"{path}[{name}]", present, absent)


def _without_numbers(value: Any) -> Any:
    """Facts without what is numbered anew on every run, or compared by its weights: references to artifacts, in lists
    and dictionaries too."""
    match value:
        case str():
            return "an artifact" if _REFERENCE.fullmatch(value) or _KEPT.fullmatch(value) else value
        case list() | tuple():
            return [_without_numbers(item) for item in value]
        case dict():
            return {name: _without_numbers(item) for name, item in value.items()}
        case _:
            return value


def _arrow(edge: Edge) -> str:
    return f"{edge.source}->{edge.target}" + (f" {edge.label}" if edge.label else "")


def _named(items: Sequence[Any], name: Any) -> dict[str, Any]:
    def unique() -> Iterator[tuple[str, Any]]:
        seen: Counter[str] = Counter()
        for item in items:
            key = name(item)
            seen[key] += 1
            yield (key if seen[key] == 1 else f"{key} #{seen[key]}"), item

    return dict(unique())


def _index(at: Sequence[Any]) -> str:
    return f"[{', '.join(str(int(i)) for i in at)}]" if at else ""


def _rounding(expected: str, got: str) -> bool:
    """Whether two written numbers differ by no more than one in the last digit written. Whole numbers must be equal."""
    if expected == got:
        return True
    old, new = expected.replace(",", "").replace("−", "-"), got.replace(",", "").replace("−", "-")
    mantissa, _, exponent = old.partition("e")
    decimals = len(mantissa.partition(".")[2])
    if not decimals and not exponent:
        return False
    unit = 10.0 ** (int(exponent or 0) - decimals)
    return abs(float(old) - float(new)) <= 1.001 * unit


def _shown(value: Any) -> str:
    text = f"{value:.9g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
