"""Against twelve models of the original compiler, weight for weight; and the repaired construction's outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.rasp import forward
from engine.rasp.compiled import TRACR, Compiled, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.functions import Function
from engine.rasp.language import (
    Aggregate,
    Comparison,
    LinearSequenceMap,
    Map,
    Node,
    Select,
    SelectorWidth,
    SequenceMap,
    SOp,
    indices,
    labels,
    numerical,
    tokens,
)

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "goldens" / "tracr"
pytestmark = pytest.mark.skipif(not (FOLDER / "goldens.json").exists(), reason="the golden models are not here")

# The goldens name functions only; these are what they are.
FUNCTIONS = {
    ("reverse", "opp_idx-1_3"): "lambda x: x - 1",
    ("reverse", "opp_idx_4"): "lambda x, y: x - y",
    ("frac_prevs", "map_3"): "lambda x: x == 'a'",
    ("pair_balance", "bools_open_5"): "lambda x: x == '('",
    ("pair_balance", "bools_close_7"): "lambda x: x == ')'",
    ("shift_by_1_causal", "select_2"): "lambda k, q: q == k + 1",
    ("detect_pattern_ab", "detect_pattern(ab)_1"): "lambda x, y: x and y",
    ("detect_pattern_ab", "map_3"): "lambda x: x == 'b'",
    ("detect_pattern_ab", "map_5"): "lambda x: x == 'a'",
    ("detect_pattern_ab", "select_4"): "lambda k, q: q == k + 1",
    ("count_a", "select_2"): "lambda k, q: k == 'a'",
    ("op_map_num_cat", "map_1"): "lambda x: x > 0.4",
    ("op_map_num_cat", "map_4"): "lambda x: x == 'a'",
    ("op_seqmap", "sequence_map_1"): "lambda x, y: x * y",
    ("op_linear_seqmap", "map_2"): "lambda x: x",
    ("op_linear_seqmap", "map_3"): "lambda x: x",
}


def goldens() -> list[Any]:
    if not (FOLDER / "goldens.json").exists():
        return []
    programs: list[Any] = json.loads((FOLDER / "goldens.json").read_text())["programs"]
    return programs


def built(golden: Any) -> SOp:
    made: dict[str, Any] = {"tokens": tokens, "indices": indices}
    described = {node["label"]: node for node in golden["nodes"]}

    def make(label: str) -> Any:
        if label in made:
            return made[label]
        d = described[label]
        args = [make(a) for a in d["args"]]
        text = FUNCTIONS.get((golden["name"], label))
        node: Any
        match d["op"]:
            case "SelectorWidth":
                node = SelectorWidth(*args)
            case "Select":
                predicate = Comparison[d["predicate"]] if text is None else Function.parse(text)
                node = Select(args[0], args[1], predicate)
            case "Map":
                node = Map(Function.parse(str(text)), *args, simplify=False)
            case "SequenceMap":
                node = SequenceMap(Function.parse(str(text)), *args)
            case "LinearSequenceMap":
                node = LinearSequenceMap(args[0], args[1], *d["factors"])
            case _:
                node = Aggregate(args[0], args[1], d["default"])
        node = node.named(label.rsplit("_", 1)[0])
        if d.get("encoding") == "numerical":
            node = numerical(node)
        made[label] = node
        return node

    program: SOp = make(golden["nodes"][0]["label"])
    return program


def domain(golden: Any) -> Domain:
    return Domain(tuple(golden["vocab"]), golden["max_seq_len"], golden["causal"])


def _compile(golden: Any, **options: Any) -> Compiled:
    return compile_program(built(golden), domain(golden), **options)


def _canonical_heads(q: Any, k: Any, v: Any, o: Any) -> list[Any]:
    """A head is what it does: its query-key and output-value products."""
    return sorted(
        (np.concatenate([(a @ b.T).ravel(), (c @ e).ravel()]).tolist() for a, b, c, e in zip(q, k, v, o)),
    )


def _canonical_units(w_in: Any, w_out: Any) -> Any:
    units = np.concatenate([w_in, w_out.T]).T
    return units[np.lexsort(units.round(3).T)]


@pytest.mark.parametrize("golden", goldens(), ids=lambda g: g["name"])
def test_weights_are_the_originals(golden: Any) -> None:
    c = _compile(golden, construction=TRACR)
    z = np.load(FOLDER / golden["file"])
    arch = golden["arch"]
    assert list(c.residual) == golden["residual_labels"]
    assert (c.n_layers, c.n_heads, c.d_head, c.d_mlp, c.d_model) == tuple(
        arch[name] for name in ("layers", "heads", "d_head", "d_mlp", "d_model")
    )
    assert [list(pair) for pair in zip(c.tokens, range(99))] == golden["input_encoding"]
    np.testing.assert_array_equal(c.state["embed.W_E"], z["token_embed"])
    np.testing.assert_array_equal(c.state["pos_embed.W_pos"], z["pos_embed"])
    np.testing.assert_array_equal(c.state["unembed.W_U"], z["unembed"])
    for layer in range(c.n_layers):
        b = f"blocks.{layer}."
        ours = _canonical_heads(*(c.state[f"{b}attn.W_{name}"] for name in "QKVO"))
        theirs = _canonical_heads(*(z[f"{b}attn.W_{name}"] for name in "QKVO"))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        np.testing.assert_allclose(
            _canonical_units(c.state[b + "mlp.W_in"], c.state[b + "mlp.W_out"]),
            _canonical_units(z[b + "mlp.W_in"], z[b + "mlp.W_out"]),
            rtol=1e-6,
        )


@pytest.mark.parametrize("golden", goldens(), ids=lambda g: g["name"])
def test_activations_are_the_originals(golden: Any) -> None:
    c = _compile(golden, construction=TRACR)
    z = np.load(FOLDER / golden["file"])
    ids = np.where(z["input_ids"] < 0, c.pad, z["input_ids"])
    lengths = [n - 1 for n in z["lengths"]]
    r = forward.run(c, ids)
    real = np.arange(ids.shape[1])[None] < z["lengths"][:, None]
    np.testing.assert_allclose(r.resid[-1][real], z["final_resid"][real], atol=1e-5)
    np.testing.assert_allclose(r.logits[real], z["logits"][real], atol=1e-5)
    stack = r.resid[1:, :4].swapaxes(0, 1)
    some = np.broadcast_to(real[:4, None, :], stack.shape[:3])
    np.testing.assert_allclose(stack[some], z["resid_stack"][some], atol=1e-5)
    decoded = forward.decode(c, r.logits, lengths)
    for ours, theirs, reference in zip(decoded, golden["decoded"], golden["rasp_reference"], strict=True):
        for a, b, wanted in zip(ours, theirs[1:], reference, strict=True):
            if wanted is not None:
                assert a == pytest.approx(b, abs=1e-5)


@pytest.mark.parametrize("golden", goldens(), ids=lambda g: g["name"])
def test_the_repaired_construction_computes_the_reference(golden: Any) -> None:
    c = _compile(golden)
    found = forward.outputs(c, golden["inputs"])
    for ours, reference in zip(found, golden["rasp_reference"], strict=True):
        for a, wanted in zip(ours, reference, strict=True):
            if wanted is not None:
                assert a == pytest.approx(float(wanted) if isinstance(wanted, bool) else wanted, abs=1e-4)


@pytest.mark.parametrize("golden", goldens(), ids=lambda g: g["name"])
def test_variables_are_the_originals(golden: Any) -> None:
    program = built(golden)
    c = compile_program(program, domain(golden), TRACR)
    assert list(labels(program).values()) == [node["label"] for node in golden["nodes"]]
    known = {v.label: v for v in c.variables}
    for node in golden["nodes"]:
        if node["op"] == "Select":
            continue
        v = known[node["label"]]
        assert v.encoding == node["encoding"]
        if v.values is not None:
            assert list(map(repr, v.values)) == node["value_set"]
        if "half_layer" in node:
            at = 2 * v.head.layer if v.head is not None else 2 * v.units.layer + 1 if v.units is not None else -1
            assert at == node["half_layer"]
    assert all(isinstance(node, Node) for node in labels(program))
