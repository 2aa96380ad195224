"""What the pictures show: one investigation as it could really be, made of closed forms, with nothing left to chance.

A GPT-2-sized model of 12 x 12 heads on TPP prompts, its sweep, patterns of its first 4 x 6 heads, a circuit of twelve
parts, and the ripple-carry adder read from a recurrent network.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.operations import FieldInfo, OperationInfo
from sessions.artifacts import (
    Axis,
    Column,
    Edge,
    Graph,
    Matrix,
    Model,
    Node,
    Points,
    Program,
    PromptRow,
    Prompts,
    Table,
    Verdict,
)
from sessions.components import Embed, Head, Logits, Mlp
from sessions.errors import ErrorRecord
from sessions.steps import Environment, Note
from tests.tui.fake import CATALOGUE, CREATED, FakeFile

LAYERS, HEADS = 12, 12
SEEN_LAYERS, SEEN_HEADS = 4, 6  # of the attention patterns
HERE = Environment(
    iwb="0.1.0", python="3.11.7", torch="2.9.0", platform="Linux x86_64", device="cpu", dtype="float32", threads=2,
    peak_memory_bytes=734 * 2**20,
)  # fmt: skip
MODEL_FIELD = FieldInfo(name="model", type="artifact", kind="model", required=True, help="the model")
PROMPTS_FIELD = FieldInfo(name="prompts", type="artifact", kind="prompts", required=True, help="the prompts")
OPERATIONS = (
    *(info for info in CATALOGUE if info.name != "circuits.head_sweep"),
    OperationInfo(
        name="circuits.head_sweep", title="Ablate every head and MLP", gives=("matrix", "matrix", "table"), version=1,
        summary="The metric with each head and each MLP ablated in turn, as its change from the whole model.",
        interactive=False, source="Wang et al. 2022, section 3",
        fields=(
            MODEL_FIELD, PROMPTS_FIELD,
            FieldInfo(name="ablation", type="choice", choices=("zero", "mean", "resample"), default="mean",
                      help="what stands in for a part's output"),
            FieldInfo(name="metric", type="choice", choices=("logit_diff", "loss", "accuracy", "kl"),
                      default="logit_diff", help="what is measured"),
            FieldInfo(name="batch", type="int", minimum=1, maximum=4096, optional=True,
                      help="prompts at a time; empty: as many as fit"),
        ),
    ),
    OperationInfo(
        name="circuits.attention_patterns", title="Attention patterns", summary="Where each token looks.",
        gives=("matrix",), version=1, interactive=True, fields=(MODEL_FIELD, PROMPTS_FIELD),
    ),
    OperationInfo(
        name="circuits.greedy_sweep", title="Greedy head sweep", summary="Heads that can go without loss go.",
        gives=("graph",), version=1, interactive=False, fields=(MODEL_FIELD, PROMPTS_FIELD),
    ),
    OperationInfo(
        name="synthesis.extract", title="Network to program", summary="A recurrent network as a Python program.",
        gives=("program", "graph", "points"), version=1, interactive=False, fields=(MODEL_FIELD,),
    ),
)  # fmt: skip
BUNDLED = (
    ("zoo:tpp", "transformer", 222_304),
    ("zoo:induction", "transformer", 49_889),
    ("zoo:rnn/Binary_Addition", "rnn", 47),
    ("zoo:rnn/Parity_Last3", "rnn", 71),
)
MODELS: dict[str, Any] = {
    "models": [
        {"source": source, "family": family, "title": source, "parameters": count, "bundled": True}
        for source, family, count in BUNDLED
    ]
}


def transformer() -> Model:
    return Model(
        title="gpt2", summary="gpt2, 12 layers x 12 heads, width 768, 124,439,808 parameters", source="gpt2",
        family="transformer", architecture="gpt2", revision="607a30d7", sha256="248dfc3911869ec493c76e65bf2fcf7f",
        config={"n_layers": LAYERS, "n_heads": HEADS, "d_model": 768, "d_head": 64, "d_mlp": 3072, "n_ctx": 1024,
                "d_vocab": 50257},
        parameters=124_439_808, bytes_needed=702_545_920, bytes_free=23_192_823_398,
    )  # fmt: skip


def network() -> Model:
    return Model(
        title="RNN Binary_Addition", summary="2 hidden, 2 in, 1 out; 47 parameters", source="zoo:rnn/Binary_Addition",
        family="rnn", architecture="mips-rnn", sha256="f7d4526ca7d809b8c9fff2e59ae717b9",
        config={"hidden": 2, "inputs": 2, "outputs": 1, "task": "Binary_Addition"}, parameters=47, bytes_needed=188,
        bytes_free=23_192_823_398,
    )  # fmt: skip


NAMES = ("zup", "fep", "blick", "dax", "wug", "tove", "gimble", "mome")
TEMPLATES = ("A implies B", "if A then B", "A leads to B", "B follows A")


def prompts() -> Prompts:
    """Chains of implication, two steps long: `zup implies fep . fep implies blick . so zup implies ...`"""
    rows = []
    for i in range(12):
        a, b, c, wrong = (NAMES[(i * step + shift) % 8] for step, shift in ((1, 0), (1, 3), (1, 5), (1, 6)))
        clean = ("<bos>", a, "implies", b, ".", b, "implies", c, ".", "so", a, "implies")
        corrupt = ("<bos>", a, "implies", b, ".", b, "implies", wrong, ".", "so", a, "implies")
        rows.append(
            PromptRow(
                clean=" ".join(clean[1:]), corrupt=" ".join(corrupt[1:]), answers=(f" {c}",), foils=(f" {wrong}",),
                group=TEMPLATES[i % 4], positions={"A1": 1, "B1": 3, "B2": 5, "C": 7, "A2": 10, "end": 11},
                clean_tokens=clean, corrupt_tokens=corrupt,
                problem="the answer ' gimble' is 2 tokens" if c == "gimble" else "",
            )
        )  # fmt: skip
    return Prompts(
        title="tpp, 12 prompts", summary="4 groups, all with a corrupt partner, tokens of gpt2", task="tpp",
        rows=tuple(rows), tokenizer="gpt2", facts={"task": "tpp", "n": 12, "seed": 1},
    )  # fmt: skip


def _effects() -> np.ndarray[Any, np.dtype[np.float64]]:
    """A few heads matter, most hardly: a wave whose high powers stay."""
    layer, head = np.mgrid[0:LAYERS, 0:HEADS]
    wave = np.sin(1.7 * layer + 0.9 * head) * np.cos(0.8 * layer - 1.3 * head)
    return np.round(-2.4 * np.sign(wave) * np.abs(wave) ** 5, 4)


CIRCUIT_HEADS = ((0, 1), (0, 5), (4, 11), (5, 1), (5, 5), (9, 6), (9, 9), (10, 7))
CONDITIONS = {
    "metric": "logit_diff", "ablation": "mean", "clean": 4.213, "n": 11, "weights": "as trained",
    "replacement": "mean of 11 clean prompts", "sites": "head: z, before W_O; MLP: its output",
}  # fmt: skip


def sweep(done: int = LAYERS * HEADS) -> Matrix:
    """The first `done` heads of the sweep, in the order they are computed."""
    values = _effects()
    values.flat[done:] = np.nan
    axes = (Axis("layer", tuple(f"L{i}" for i in range(LAYERS))), Axis("head", tuple(f"H{i}" for i in range(HEADS))))
    return Matrix(
        title="head ablation (mean): change in logit difference", values=values, axes=axes, scale="diverging",
        unit="logits", facts=CONDITIONS, summary=f"{done} of 144 heads ablated one by one",
        marks=CIRCUIT_HEADS if done == LAYERS * HEADS else (),
    )  # fmt: skip


def mlps() -> Matrix:
    values = np.round(0.35 * np.cos(np.arange(LAYERS) * 1.1)[:, None], 4)
    values[0] = -3.1
    axes = (Axis("layer", tuple(f"L{i}" for i in range(LAYERS))), Axis("mlp", ("mlp",)))
    return Matrix(
        title="MLP ablation (mean): change in logit difference", values=values, axes=axes, scale="diverging",
        unit="logits", facts=CONDITIONS, summary="12 of 12 MLPs ablated one by one",
    )  # fmt: skip


def ranking() -> Table:
    effects, of_mlps = _effects(), mlps().values
    found = [(f"L{i}H{j}", float(effects[i, j])) for i in range(LAYERS) for j in range(HEADS)]
    found += [(f"mlp{i}", float(of_mlps[i, 0])) for i in range(LAYERS)]
    found.sort(key=lambda row: (-abs(row[1]), row[0]))
    columns = (
        Column("component", "text"), Column("change", "float", "logits"), Column("standard error", "float", "logits"),
    )  # fmt: skip
    rows = tuple((name, change, round(0.03 + abs(change) / 12, 4)) for name, change in found)
    return Table(title="Components by what their ablation costs", columns=columns, rows=rows, facts=CONDITIONS)


def patterns(side: str = "clean") -> Matrix:
    """Causal patterns of 12 tokens: heads that look at the first token, the one before, the same one, or all alike."""
    rows = prompts().rows[:8]
    tokens = [list(row.clean_tokens) for row in rows]
    size = len(tokens[0])
    query, key = np.mgrid[0:size, 0:size]
    values = np.zeros((len(rows), SEEN_LAYERS, SEEN_HEADS, size, size))
    for p, layer, head in np.ndindex(values.shape[:3]):
        words = tokens[p]
        same = np.array([[float(words[q] == words[k]) for k in range(size)] for q in range(size)])
        logits = (
            6.0 * (key == 0), 5.0 * (key == query - 1), 4.0 * same, 0.2 * key, 5.0 * (key == query), 1.5 * np.sin(key)
        )[(head + layer) % 6] * (1 + layer / 4)  # fmt: skip
        weights = np.where(key <= query, np.exp(logits), 0.0)
        values[p, layer, head] = np.round(weights / weights.sum(-1, keepdims=True), 5)
    if side == "difference":
        values = np.round(values - np.roll(values, 1, axis=2), 5)
    labels = tuple(tokens[0])
    return Matrix(
        title=f"Attention patterns, {side}, prompts 1 to 8", values=values, unit="attention weight",
        scale="diverging" if side == "difference" else "sequential", summary="4 layers x 6 heads, 12 tokens",
        axes=(
            Axis("prompt", tuple(str(i + 1) for i in range(len(rows)))),
            Axis("layer", tuple(f"L{i}" for i in range(SEEN_LAYERS))),
            Axis("head", tuple(f"H{i}" for i in range(SEEN_HEADS))),
            Axis("query", labels), Axis("key", labels),
        ),
        facts={"side": side, "first": 1, "n": len(rows), "average": False, "tokens": tokens, "weights": "as trained"},
    )  # fmt: skip


def circuit() -> Graph:
    """Twelve parts: what repeats, what looks back, what moves the answer to the end."""
    parts: list[tuple[str, int, Any, float | None]] = [
        ("embed", 0, Embed(), None), ("L0H1", 1, Head(0, 1), 0.81), ("L0H5", 1, Head(0, 5), 0.34),
        ("mlp0", 2, Mlp(0), 1.92), ("L4H11", 9, Head(4, 11), 0.66), ("L5H1", 11, Head(5, 1), 1.21),
        ("L5H5", 11, Head(5, 5), 1.05), ("mlp6", 14, Mlp(6), -0.22), ("L9H6", 19, Head(9, 6), 1.44),
        ("L9H9", 19, Head(9, 9), 0.97), ("L10H7", 21, Head(10, 7), -0.88), ("logits", 25, Logits(), None),
    ]  # fmt: skip
    nodes = [Node(name, name, layer, component, score) for name, layer, component, score in parts]
    nodes.append(Node("L9H0", "L9H0", 19, Head(9, 0), 0.02, kept=False))
    ends = (
        ("embed", "L0H1", 0.9), ("embed", "L0H5", 0.4), ("embed", "mlp0", 1.8), ("L0H1", "mlp0", 0.7),
        ("L0H5", "L5H5", 0.3), ("mlp0", "L4H11", 0.6), ("mlp0", "L5H1", 0.8), ("L4H11", "L5H1", 1.1),
        ("L4H11", "L5H5", 0.7), ("L5H1", "mlp6", -0.2), ("L5H1", "L9H6", 1.3), ("L5H5", "L9H9", 0.9),
        ("mlp6", "L9H9", 0.15), ("L9H6", "L10H7", -0.5), ("L9H6", "logits", 1.4), ("L9H9", "logits", 1.0),
        ("L10H7", "logits", -0.9), ("mlp0", "logits", 0.25),
    )  # fmt: skip
    return Graph(
        title="Circuit of 8 heads (greedy sweep, theta 0.03)", nodes=tuple(nodes),
        edges=tuple(Edge(source, target, weight) for source, target, weight in ends),
        score_name="drop in logit difference when removed", weight_name="drop when the edge alone is ablated (logits)",
        summary="faithfulness 0.943 on held-out prompts; logit difference 4.213 -> 3.972",
        facts={"faithfulness": 0.9428, "metric": "logit_diff", "ablation": "mean", "theta": 0.03, "n": 11},
    )  # fmt: skip


SOURCE = '''\
def f(s, t):
    """The automaton of a network with 2 hidden numbers: 2 states."""
    c = 0
    ys = []
    for p, q in zip(s, t):
        y = p ^ q ^ c
        c = (p + q + c) // 2
        ys.append(y)
    return ys
'''


def program() -> Program:
    every = {"exhaustive": True, "domain": "all 1,048,576 pairs of bit sequences of length 10"}
    return Program(
        title="Program Binary_Addition", source=SOURCE, summary="formulas, 2 states, 38 tokens", origin=(11, 12),
        verdicts=(
            Verdict(against="the network", agreed=1_048_576, tested=1_048_576, **every),
            Verdict(against="the task's target", agreed=1_048_576, tested=1_048_576, **every),
        ),
        facts={"route": "formulas", "description length": "38 tokens", "states after minimisation": 2},
    )  # fmt: skip


def automaton() -> Graph:
    return Graph(
        title="Automaton Binary_Addition", summary="2 states, 8 transitions; 4 clusters before minimisation",
        nodes=(Node("0", "c=0", 0, accepting=True), Node("1", "c=1", 1)),
        edges=(
            Edge("0", "0", 3.0, "00/0, 01/1, 10/1"), Edge("0", "1", 1.0, "11/0"), Edge("1", "0", 1.0, "00/1"),
            Edge("1", "1", 3.0, "01/0, 10/0, 11/1"),
        ),
        layout="automaton", weight_name="inputs that take this way",
    )  # fmt: skip


def states() -> Points:
    """Hidden states in four clusters, two for each state of the automaton."""
    centres = ((-1.4, 0.2), (-0.6, -0.3), (0.7, 0.4), (1.3, -0.2))
    angle = np.arange(12) * 2.4
    ring = 0.08 * np.sqrt(np.arange(12) / 12)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    xy = np.round(np.concatenate([np.array(centre) + ring for centre in centres]), 4)
    state = np.repeat([0.0, 0.0, 1.0, 1.0], 12)
    labels = tuple(f"state {int(s)}, after {i % 10} inputs" for i, s in enumerate(state))
    return Points(
        title="Hidden states Binary_Addition", xy=xy, labels=labels, colour=state, axis_names=("h1", "h2"),
        summary="48 visited hidden states, coloured by 2 states",
    )  # fmt: skip


MISTAKE = ErrorRecord(
    "the answer ' gimble' is 2 tokens for gpt2", "prompt 2", "use answers of one token, or first_token_only=true"
)


def loaded() -> FakeFile:
    """A model and prompts, and nothing done with them yet."""
    file = FakeFile()
    step = file.add_step("models.load", parameters={"source": "gpt2"}, seconds=6.4, environment=HERE)
    file.add(step, transformer())
    at = {"task": "tpp", "n": 12, "model": "@1"}
    file.add(file.add_step("prompts.make", parameters=at, inputs={"model": 1}, seed=1, seconds=0.04), prompts())
    return file


def investigation() -> FakeFile:
    """Eight steps: two loaded models, prompts, a sweep, patterns, a circuit, a program, and a step that failed."""
    file = loaded()
    at, inputs = {"model": "@1", "prompts": "@2"}, {"model": 1, "prompts": 2}
    more: dict[str, Any] = {"inputs": inputs, "environment": HERE}
    step = file.add_step("circuits.head_sweep", parameters={**at, "ablation": "mean"}, seconds=41.7, **more)
    for artifact in (sweep(), mlps(), ranking()):
        file.add(step, artifact)
    for side in ("clean", "difference"):
        given = {**at, "side": side, "first": 1, "count": 8}
        file.add(file.add_step("circuits.attention_patterns", parameters=given, seconds=0.3, **more), patterns(side))
    file.add(file.add_step("circuits.greedy_sweep", parameters={**at, "theta": 0.03}, seconds=93.0, **more), circuit())
    file.add(file.add_step("models.load", parameters={"source": "zoo:rnn/Binary_Addition"}, seconds=0.02), network())
    step = file.add_step("synthesis.extract", parameters={"model": "@9"}, inputs={"model": 9}, seconds=2.5)
    for artifact in (program(), automaton(), states()):
        file.add(step, artifact)
    file.notes += [
        Note(id=1, created=CREATED, text="Which heads are missed most when they are silenced?", step=3),
        Note(id=2, created=CREATED, text="L9H6 moves the answer to the end; compare with L10H7.", artifact=8),
        Note(id=3, created=CREATED, text="The ripple-carry adder.", step=8),
    ]
    return file


def failed() -> FakeFile:
    """The investigation, whose last step failed and whose last but one was interrupted."""
    file = investigation()
    at, inputs = {"model": "@1", "prompts": "@2"}, {"model": 1, "prompts": 2}
    file.add_step(
        "circuits.head_sweep", "interrupted", parameters={**at, "ablation": "zero"}, inputs=inputs, done=90, total=156
    )
    file.add_step(
        "circuits.head_sweep", "failed", parameters={**at, "ablation": "resample"}, inputs=inputs, error=MISTAKE,
        seconds=0.1,
    )  # fmt: skip
    return file
