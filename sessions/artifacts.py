"""What a step leaves behind: nine kinds of typed result, frozen, with numpy arrays inside.

The screen draws kinds, not methods, so a new method needs no new view. `codec.py` turns an artifact into bytes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np

from sessions.components import Component, HeadInput

Array = np.ndarray[Any, np.dtype[Any]]
Scale = Literal["sequential", "diverging"]


class Axis(msgspec.Struct, frozen=True):
    """One named axis of a matrix. `labels` is empty (then indices are shown) or as long as the axis."""

    name: str  # the field's word: layer, head, query, key, position, prompt...
    labels: tuple[str, ...] = ()


class Artifact(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every kind has. `facts`: the conditions a number depends on (ablation, metric, n, weight processing)."""

    title: str
    summary: str = ""
    facts: dict[str, Any] = {}

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


class Matrix(Artifact, frozen=True, kw_only=True, tag="matrix"):
    """An n-d array with named axes; NaN means `not computed yet`. The last two axes are drawn, others sliced."""

    values: Array
    axes: tuple[Axis, ...]
    unit: str = ""
    scale: Scale = "sequential"
    marks: tuple[tuple[int, ...], ...] = ()  # indices to mark (a circuit's heads, say)


class Column(msgspec.Struct, frozen=True):
    name: str
    type: Literal["text", "int", "float", "bool"]
    unit: str = ""
    help: str = ""


class Table(Artifact, frozen=True, kw_only=True, tag="table"):
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | int | float | bool | None, ...], ...]


class Curve(msgspec.Struct, frozen=True):
    """One named curve: `y` over the series' axis, with an optional band."""

    name: str
    y: Array
    low: Array | None = None
    high: Array | None = None


class Series(Artifact, frozen=True, kw_only=True, tag="series"):
    x: Array
    x_name: str
    curves: tuple[Curve, ...]
    y_name: str = ""


class Points(Artifact, frozen=True, kw_only=True, tag="points"):
    """Points in the plane or in space: xy is (n, 2) or (n, 3)."""

    xy: Array
    labels: tuple[str, ...] = ()
    colour: Array | None = None  # (n,), a number per point
    axis_names: tuple[str, ...] = ()


Side = Literal["both", "first", "second"]  # of two circuits compared: which of them has it


class Node(msgspec.Struct, frozen=True):
    """A node of a graph. A transformer's node has a `component`; an automaton's state has only its name."""

    id: str
    label: str
    layer: int  # the row it is drawn in, from 0: embed first, logits last; for automata the distance from the start
    component: Component | None = None
    score: float | None = None
    kept: bool = True  # False: looked at and found not to belong (drawn dim, hidden at coarse levels)
    accepting: bool = False  # a double ring: the start state of an automaton, say
    side: Side | None = None  # where two circuits are compared


class Edge(msgspec.Struct, frozen=True):
    source: str
    target: str
    weight: float = 1.0  # signed
    label: str = ""  # `0/1` on a transition: what it reads / what it writes
    kept: bool = True
    input: HeadInput | None = None  # which input of a head reads it; None: all three, or the target is no head
    side: Side | None = None

    def into(self, name: str) -> str:
        """The target as it is read, `L3H1.v`, where the target is shown as `name`."""
        return f"{name}.{self.input}" if self.input else name


class Graph(Artifact, frozen=True, kw_only=True, tag="graph"):
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]  # between the same two nodes there may be three: one for each input of a head
    layout: Literal["layered", "automaton"] = "layered"
    score_name: str = ""  # what a node's score is, with its unit
    weight_name: str = ""
    level: Literal["nodes", "edges"] = "nodes"  # a circuit is its kept nodes with every edge among them, or kept edges


class Verdict(msgspec.Struct, frozen=True):
    """One check of a program: against what, on how many cases of how many there are, and what came out."""

    against: str  # "the network", "the task's target"
    agreed: int
    tested: int
    exhaustive: bool  # tested is all there are
    domain: str  # in words: "all 1,024 bit sequences of length 10"
    counterexample: str = ""

    @property
    def holds(self) -> bool:
        return self.agreed == self.tested and self.tested > 0

    def __str__(self) -> str:
        extent = "all there are" if self.exhaustive else "a sample, not all"
        wrong = f"; first difference: {self.counterexample}" if self.counterexample else ""
        count = f"{self.agreed:,} of {self.tested:,} sequences"
        return f"agrees with {self.against} on {count} ({self.domain}; {extent}){wrong}"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a solver says of a program, for all inputs of one length or of every length."""

    claim: str  # "equal to the task's specification on every input of length 10"
    status: Literal["proved", "refuted", "not proved"]
    every_length: bool = False
    method: str = ""  # "induction; invariant: k == c and 0 <= c <= 1"
    reason: str = ""  # why it is not proved
    counterexample: str = ""  # as a sequence

    @property
    def told(self) -> str:
        """The claim, and how it is proved, why it is not, or what refutes it."""
        extra = {"proved": self.method, "refuted": self.counterexample, "not proved": self.reason}[self.status]
        return self.claim + (f" ({extra})" if extra else "")

    def __str__(self) -> str:
        return f"{self.status}: {self.told}"


class Program(Artifact, frozen=True, kw_only=True, tag="program"):
    source: str
    language: str = "python"  # python, rasp; smt2 and dafny for an exported proof
    verdicts: tuple[Verdict, ...] = ()
    proofs: tuple[Proof, ...] = ()
    origin: tuple[int, ...] = ()  # artifacts beside it: the automaton, the states


class PromptRow(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt. `clean` and `corrupt` have the same number of tokens wherever a method pairs them.

    `answers` and `foils` are the next tokens, as text (with their leading space, if the tokenizer writes one).
    Positions are token indices from 0 by the name of what stands there (a1, b1, end); they count a
    beginning-of-sequence token when the tokens do. `scored_from`: when set, every token from this index on is predicted
    and scored, not only the answer.
    """

    clean: str
    corrupt: str = ""
    answers: tuple[str, ...] = ()
    foils: tuple[str, ...] = ()
    group: str = ""  # the template it came from
    positions: dict[str, int] = {}
    spans: dict[str, tuple[int, int]] = {}  # characters of `clean` by the same names: where positions come from
    first_token_only: bool = False  # an answer may be several tokens, of which the first is scored (TPP's main set)
    clean_tokens: tuple[str, ...] = ()  # as the model sees them; empty until a model has looked
    corrupt_tokens: tuple[str, ...] = ()
    scored_from: int | None = None
    problem: str = ""  # why this row cannot be used with that model, if it cannot


class Prompts(Artifact, frozen=True, kw_only=True, tag="prompts"):
    task: str
    rows: tuple[PromptRow, ...]
    rejected: tuple[str, ...] = ()  # one sentence per row of a file that could not be read: line number and reason
    tokenizer: str = ""  # whose tokens the rows carry; empty until a model has looked


class WeightProcessing(msgspec.Struct, frozen=True, kw_only=True):
    """How weights were rewritten on loading. It changes what an ablation means, so it travels with every result."""

    fold_ln: bool = False
    center_writing_weights: bool = False
    center_unembed: bool = False
    fold_value_biases: bool = False

    def __str__(self) -> str:
        done = [name for name in self.__struct_fields__ if getattr(self, name)]
        return "+".join(done) if done else "as trained"


Family = Literal["transformer", "rnn", "metamodel", "transformer_program"]


class Model(Artifact, frozen=True, kw_only=True, tag="model"):
    """A handle to a model: enough to load it again and to know that it is the same one."""

    source: str  # `zoo:tpp`, a Hugging Face name, a folder, a .safetensors file, or `session:SHA256`
    family: Family
    architecture: str  # "gpt2", "llama", "gpt_neox", "attn-only", "mips-rnn", "rasp"
    revision: str = ""
    sha256: str = ""  # of the weights as stored
    config: dict[str, Any] = {}
    parameters: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    processing: WeightProcessing = WeightProcessing()
    bytes_needed: int = 0
    bytes_free: int = 0


class Text(Artifact, frozen=True, kw_only=True, tag="text"):
    markdown: str


AnyArtifact = Matrix | Table | Series | Points | Graph | Program | Prompts | Model | Text
Kind = Literal["matrix", "table", "series", "points", "graph", "program", "prompts", "model", "text"]
KINDS: dict[str, type[Artifact]] = {
    "matrix": Matrix,
    "table": Table,
    "series": Series,
    "points": Points,
    "graph": Graph,
    "program": Program,
    "prompts": Prompts,
    "model": Model,
    "text": Text,
}
