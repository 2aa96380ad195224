"""What a person writes beside the weights of a recurrent network, held against what the weights themselves say.

Sizes need not be written: they are in the shapes. What shapes cannot say has to be: which inputs the network knows
(low, high, length), how they are fed, and what the readout's numbers mean. Loads without torch.
"""

from __future__ import annotations

import difflib
from typing import Any, Literal

import msgspec

from engine.models.arrangement import Arrangement, Cell
from sessions.errors import CallError

Coding = Literal["numbers", "one-hot", "embedding"]
Readout = Literal["numbers", "classes", "signs"]
ARCHITECTURES: dict[str, Cell] = {
    "elman": "elman",
    "rnn": "elman",
    "gru": "gru",
    "lstm": "lstm",
    "mlp-rnn": "mlp",
    "mips-rnn": "mlp",
}


def example(hidden: int = 8, inputs: int = 1, coding: Coding = "numbers", readout: Readout = "numbers") -> str:
    """A configuration to write beside the weights, on one line."""
    return (
        f'{{"family": "rnn", "hidden": {hidden}, "inputs": {inputs}, "low": 0, "high": 1, "length": 10, '
        f'"coding": "{coding}", "readout": "{readout}"}}'
    )


class CellConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of a recurrent network whose hidden state is `layers` times `hidden` numbers, an LSTM's twice that.

    `inputs` numbers of low..high are read at a position: fed as they are, one-hot, or as rows of an embedding. The
    readout's numbers are the outputs, to be rounded; or `outputs` times as many logits as there are classes, the first
    of which stands for `first_class`; or logits whose sign says 0 or 1.
    """

    cell: Cell
    hidden: int
    layers: int = 1
    inputs: int = 1
    outputs: int = 1
    f: tuple[int, ...] = ()  # widths of hidden layers: of the update (mlp) and of the readout
    g: tuple[int, ...] = ()
    coding: Coding = "numbers"
    readout: Readout = "numbers"
    written: int = 1  # numbers that the readout gives
    first_class: int = 0
    nonlinearity: Literal["tanh", "relu"] = "tanh"  # of an Elman network's hidden state
    activation: Literal["relu", "tanh"] = "relu"  # between the affine layers of f and g
    task: str = ""
    low: int = 0
    high: int = 1
    length: int = 10

    @property
    def state(self) -> int:
        """How many numbers the hidden state has, over all layers."""
        return self.hidden * self.layers * (2 if self.cell == "lstm" else 1)

    @property
    def plain(self) -> bool:
        """Whether it is a network of the MIPS form: numbers in, ReLU layers, numbers out."""
        layers = self.activation == "relu" or not (self.f or self.g)
        return layers and (self.cell, self.coding, self.readout) == ("mlp", "numbers", "numbers")

    def in_words(self) -> str:
        """Without the number of its parameters."""
        layers = f" in {self.layers} layers" if self.layers > 1 else ""
        name = {"elman": f"Elman ({self.nonlinearity})", "gru": "GRU", "lstm": "LSTM", "mlp": "h = f([h; x])"}[
            self.cell
        ]
        fed = {"numbers": "", "one-hot": ", one-hot", "embedding": ", embedded"}[self.coding]
        classes = self.written // self.outputs
        meant = {"numbers": "", "classes": f", the largest of {classes} logits", "signs": ", the sign of a logit"}
        return (
            f"{name}, {self.hidden} hidden{layers}, {self.inputs} in ({self.low}..{self.high}{fed}), "
            f"{self.outputs} out{meant[self.readout]}"
        )


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of the .json; all may be left out."""

    family: str = "rnn"
    architecture: str | None = None
    hidden: int | None = None
    layers: int | None = None
    inputs: int | None = None
    outputs: int | None = None
    f: tuple[int, ...] | None = None
    g: tuple[int, ...] | None = None
    coding: Coding | None = None
    readout: Readout | None = None
    first_class: int = 0
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    activation: Literal["relu", "tanh"] = "relu"
    order: Literal["hx", "xh"] = "hx"  # which of them f reads first: the hidden numbers, or the inputs
    task: str = ""
    low: int | None = None
    high: int | None = None
    length: int = 10


def read_written(config: dict[str, Any], where: str) -> Written:
    """The fields. CallError names the one that is wrong, or nearly one of ours; others are left alone."""
    known = Written.__struct_fields__
    for name in config:
        if name not in known and (close := difflib.get_close_matches(name, known, n=1, cutoff=0.75)):
            raise CallError(f"unknown field '{name}'", where, f"did you mean '{close[0]}'?")
    try:
        written = msgspec.convert(config, Written)
    except msgspec.ValidationError as error:
        raise CallError(
            f"the configuration is not that of a recurrent network ({error})", where, f"for example {example()}"
        ) from None
    if written.length < 1:
        raise CallError(f"length is {written.length}", where, "give a whole number from 1")
    if written.architecture is not None and written.architecture not in ARCHITECTURES:
        raise CallError(
            f"unknown architecture '{written.architecture}'", where, f"one of {', '.join(ARCHITECTURES)}, or none"
        )
    return written


def settle(written: Written, found: Arrangement, where: str) -> CellConfig:
    """The whole configuration: the shapes', completed by the file's. CallError where they contradict each other, or
    where neither says what has to be known; it says what to write."""
    said = {
        "architecture": None if written.architecture is None else ARCHITECTURES[written.architecture],
        "hidden": written.hidden,
        "layers": written.layers,
        "f": written.f,
        "g": written.g,
    }
    seen = {"architecture": found.cell, "hidden": found.hidden, "layers": found.layers, "f": found.f, "g": found.g}
    wrong = [
        f"{name} is {_plain(value)} in the configuration and {_plain(seen[name])} in the weights"
        for name, value in said.items()
        if value is not None and value != seen[name]
    ]
    if wrong:
        raise CallError("; ".join(wrong), where, "the weights and the configuration do not belong together")
    if written.order == "xh" and found.cell != "mlp":
        raise CallError("order is for networks of the form h = f([h; x])", where, "leave it out")
    coding, inputs, low, high = _inputs(written, found, where)
    readout, outputs = _outputs(written, found, where)
    return CellConfig(
        cell=found.cell,
        hidden=found.hidden,
        layers=found.layers,
        inputs=inputs,
        outputs=outputs,
        f=found.f,
        g=found.g,
        coding=coding,
        readout=readout,
        written=found.written,
        first_class=written.first_class,
        nonlinearity=written.nonlinearity,
        activation=written.activation,
        task=written.task,
        low=low,
        high=high,
        length=written.length,
    )


def example_of(found: Arrangement) -> str:
    """A configuration that fits the shapes; what they leave open is what is most often meant."""
    inputs = found.width // found.embedded if found.embedded else found.width
    coding: Coding = "embedding" if found.embedded else "numbers"
    return example(found.hidden, inputs, coding, "classes" if found.written > 1 else "numbers")


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _inputs(written: Written, found: Arrangement, where: str) -> tuple[Coding, int, int, int]:
    """How inputs are fed, how many there are at a position, and their range."""
    low = 0 if written.low is None else written.low
    if found.vocabulary:
        if written.coding not in (None, "embedding") or found.width % found.embedded:
            raise CallError(
                f"there is an embedding of {found.vocabulary} rows and {found.embedded} numbers, and the recurrent "
                f"layer reads {found.width} numbers",
                where,
                'write "coding": "embedding", and give a network that reads whole rows',
            )
        high = found.vocabulary - 1 if written.high is None else written.high
        if low < 0 or high >= found.vocabulary:
            raise CallError(
                f"inputs {low}..{high} are looked up in an embedding of the rows 0..{found.vocabulary - 1}",
                where,
                "give low and high within it",
            )
        return "embedding", _agreed(written.inputs, found.width // found.embedded, "inputs", where), low, high
    if written.coding == "embedding":
        raise CallError("there is no embedding among the weights", where, 'write "coding": "one-hot" or "numbers"')
    high = _high(written, found, low)
    if high < low:
        raise CallError(f"high={high} is below low={low}", where, "give low <= high")
    values = high - low + 1
    if written.coding == "numbers" or (written.coding is None and written.inputs in (None, found.width)):
        return "numbers", _agreed(written.inputs, found.width, "inputs", where), low, high
    if found.width % values == 0 and written.inputs in (None, found.width // values):
        return "one-hot", found.width // values, low, high
    streams = written.inputs or 1
    raise CallError(
        f"the weights read {found.width} numbers at a position: neither {streams} as they are, nor {streams} times "
        f"{values} one-hot ({low}..{high})",
        where,
        "correct inputs, low and high",
    )


def _high(written: Written, found: Arrangement, low: int) -> int:
    """Bits where nothing is said; of one-hot inputs, as many values as the weights read."""
    if written.high is not None:
        return written.high
    if written.coding == "one-hot":
        return low + found.width // (written.inputs or 1) - 1
    return 1


def _outputs(written: Written, found: Arrangement, where: str) -> tuple[Readout, int]:
    """What the readout's numbers mean and how many outputs they are."""
    kind = written.readout
    if kind is None and written.outputs in (None, found.written) and (found.written == 1 or written.outputs):
        kind = "numbers"
    if kind is None and written.outputs is None:
        raise CallError(
            f"the readout gives {found.written} numbers, which may be outputs or the logits of classes",
            where,
            f'write "readout": "classes" or "numbers" into it, for example {example_of(found)}',
        )
    if kind in ("numbers", "signs"):
        return kind, _agreed(written.outputs, found.written, "outputs", where)
    outputs = written.outputs or 1
    if outputs < 1 or found.written % outputs or found.written // outputs < 2:
        raise CallError(
            f"the readout gives {found.written} numbers, which are not the logits of {outputs} times two or more "
            "classes",
            where,
            'write "readout": "signs" where one logit says 0 or 1, else "numbers"',
        )
    return "classes", outputs


def _agreed(said: int | None, seen: int, name: str, where: str) -> int:
    if said not in (None, seen):
        raise CallError(
            f"{name} is {said} in the configuration and {seen} in the weights",
            where,
            "the weights and the configuration do not belong together",
        )
    return seen
