"""Programs through Tracr's interface and back: with a stand-in that lays our own weights out as Tracr does, and, where
the real Tracr is installed, weight for weight beside it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.rasp import forward
from engine.rasp.circuit import edges
from engine.rasp.compiled import TRACR, Compiled, Domain
from engine.rasp.compiler import compile_program
from engine.rasp.decompiling.decompiler import decompile
from engine.rasp.interpreter import evaluate
from engine.rasp.language import SOp
from engine.rasp.library import LIBRARY
from engine.rasp.library import program as of_library
from engine.rasp.model import to_config, to_labels, to_transformer
from engine.rasp.original import compile_with_tracr
from engine.rasp.syntax import parse
from sessions.artifacts import Model, Program
from sessions.errors import CallError
from tests.engine.rasp import stand_in
from tests.engine.rasp.conftest import Bench

NUMBERS = Domain((1, 2, 3), 3)
WRITTEN = {
    "output_sorts_first": "aa = map(lambda x: x * 2, tokens)",
    "output_sorts_last": "zz = sequence_map(lambda x, y: x + y, tokens, indices)",
    "map_of_a_map": "once = map(lambda x: x + 1, tokens)\ntwice = map(lambda x: x * x, once, simplify=False)",
    "linear": "a = numerical(map(lambda x: x, tokens))\nb = numerical(map(lambda x: x, indices))\n"
    "c = numerical(linear_sequence_map(a, b, 2, -1))",
    "linear_with_zero": "a = numerical(map(lambda x: x, tokens))\nb = numerical(map(lambda x: x, indices))\n"
    "c = numerical(linear_sequence_map(a, b, 0, 0))",
    "two_heads": "s = select(tokens, tokens, ==)\nt = select(tokens, indices, lambda k, q: k > q + 1)\n"
    "w = selector_width(s)\nv = selector_width(t)\nz = w + v",
    "negated": "s = ~select(indices, indices, <)\nw = aggregate(s & select(indices, indices, ==), tokens)",
    "twice_the_same": "t = sequence_map(lambda x, y: x + y, tokens, tokens)",
}


def read(name: str) -> tuple[SOp, Domain]:
    if name in WRITTEN:
        return parse(WRITTEN[name]), NUMBERS
    entry = LIBRARY[name]
    return of_library(name), Domain(tuple(entry.vocab), entry.max_len, entry.causal)


def product(c: Compiled, layer: int, head: int) -> tuple[Any, Any]:
    q, k, v, o = (c.state[f"blocks.{layer}.attn.W_{name}"][head].astype(float) for name in "QKVO")
    return q @ k.T, v @ o


def units(c: Compiled, layer: int) -> Any:
    """What every hidden unit reads and writes, in an order of their own."""
    rows = np.concatenate([c.state[f"blocks.{layer}.mlp.W_in"], c.state[f"blocks.{layer}.mlp.W_out"].T]).T
    return rows[np.lexsort(rows.round(3).T)]


def assert_same_model(a: Compiled, b: Compiled) -> None:
    """Up to the order of heads and hidden units."""
    assert to_config(a) == to_config(b)
    assert (a.residual, a.tokens, a.outputs, a.bos, a.pad) == (b.residual, b.tokens, b.outputs, b.bos, b.pad)
    for name in ("embed.W_E", "pos_embed.W_pos", "unembed.W_U"):
        np.testing.assert_array_equal(a.state[name], b.state[name])
    for layer in range(a.n_layers):
        ours, theirs = (
            sorted(np.concatenate([m.ravel() for m in product(c, layer, h)]).tolist() for h in range(c.n_heads))
            for c in (a, b)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        np.testing.assert_allclose(units(a, layer), units(b, layer), rtol=1e-5, atol=1e-6)


def assert_variables_are_where_they_are_said(a: Compiled, known: Compiled) -> None:
    """A variable's head computes the same in both, and its units write its directions and no other's."""
    for ours, theirs in zip(a.variables, known.variables, strict=True):
        assert (ours.label, ours.dims, ours.reads) == (theirs.label, theirs.dims, theirs.reads)
        if ours.head is not None and theirs.head is not None:
            for m, n in zip(product(a, *ours.head), product(known, *theirs.head)):
                np.testing.assert_array_equal(m, n)
        if ours.units is not None and theirs.units is not None:
            assert ours.units.layer == theirs.units.layer
            mine = [*ours.dims, *([] if ours.attention_dim is None else [ours.attention_dim])]
            which = np.arange(*ours.units[1:])
            if ours.op == "SelectorWidth":  # the unit that reads BOS cleans for all widths of the layer
                bos = a.residual.index("tokens:compiler_bos")
                which = which[a.state[f"blocks.{ours.units.layer}.mlp.W_in"][bos, which] == 0]
            assert not np.delete(a.state[f"blocks.{ours.units.layer}.mlp.W_out"][which], mine, axis=1).any()
    assert [(e.source, e.target) for e in edges(a).edges]


@pytest.fixture
def tracr(monkeypatch: pytest.MonkeyPatch) -> Any:
    return stand_in.install(monkeypatch)


@pytest.mark.parametrize("name", [*LIBRARY, *WRITTEN])
@pytest.mark.filterwarnings("ignore:sequence_map of an s-op with itself")
def test_what_went_in_comes_back(name: str, tracr: Any) -> None:
    program, domain = read(name)
    found, known = compile_with_tracr(program, domain), compile_program(program, domain, TRACR)
    assert_same_model(found, known)
    assert_variables_are_where_they_are_said(found, known)


def test_the_same_program_gives_the_same_bytes_again(tracr: Any) -> None:
    """Tracr numbers its expressions from a counter of the process; we do not let it."""
    program, domain = read("reverse")
    first, second = (compile_with_tracr(program, domain) for _ in range(2))
    assert first.residual == second.residual
    for name, array in first.state.items():
        np.testing.assert_array_equal(array, second.state[name])


def test_the_loaded_model_runs_as_the_program_says(tracr: Any) -> None:
    import torch

    program, domain = read("sort_unique")
    found = compile_with_tracr(program, domain)
    row = list(domain.vocab)[:3][::-1]
    expected = evaluate(program, row)
    assert forward.outputs(found, [row]) == [expected]
    model = to_transformer(found)
    residual = model.forward(torch.as_tensor(forward.encode(found, [row]))).resid_pre[-1]
    logits = model.unembed(residual)[0, 1:]
    assert found.outputs is not None
    assert [found.outputs[i] for i in logits.argmax(-1).tolist()] == expected


def test_a_model_of_another_kind_is_refused(tracr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program, domain = read("hist")
    compile_ = stand_in.compile_rasp_to_model

    def changed(change: Any) -> None:
        def compile_and_change(*args: Any, **values: Any) -> Any:
            model = compile_(*args, **values)
            change(model)
            return model

        monkeypatch.setattr(tracr.compiling, "compile_rasp_to_model", compile_and_change)

    def with_bias(model: Any) -> None:
        model.params["transformer/layer_0/mlp/linear_1"]["b"][0] = 1

    def with_layer_norm(model: Any) -> None:
        model.model_config.layer_norm = True

    def renamed(model: Any) -> None:
        model.residual_labels[0] = "something"

    def twice(model: Any) -> None:
        model.residual_labels[0] = model.residual_labels[1]

    def without(model: Any) -> None:
        del model.params["transformer/layer_0/attn/query"]

    for change, words in (
        (with_bias, "linear_1 has biases"),
        (with_layer_norm, "LayerNorm"),
        (renamed, "directions are others"),
        (twice, "nothing tells them apart"),
        (without, "no transformer/layer_0/attn/query"),
    ):
        changed(change)
        with pytest.raises(CallError, match=words):
            compile_with_tracr(program, domain)

    def fails(*args: Any, **values: Any) -> Any:
        raise NotImplementedError("Unsupported RASP expressions:\nmap: because")

    monkeypatch.setattr(tracr.compiling, "compile_rasp_to_model", fails)
    with pytest.raises(CallError, match="NotImplementedError, Unsupported RASP expressions: map: because"):
        compile_with_tracr(program, domain)


def test_what_cannot_be_compiled_is_said_before_tracr_is_asked(tracr: Any) -> None:
    with pytest.raises(CallError, match="length"):
        compile_with_tracr(parse("x = tokens + length"), NUMBERS)


def test_without_tracr_one_sentence_says_how_to_get_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tracr", None)  # `import tracr` fails
    with pytest.raises(CallError, match="Tracr, is not installed; install it: pip install") as caught:
        bench("rasp.compile", program="hist", vocab="a,b", max_len=3, construction="tracr")
    assert "\n" not in str(caught.value)


def test_as_an_operation(bench: Bench, tracr: Any) -> None:
    model, program, *_ = bench("rasp.compile", program="hist", vocab="a,b,c", max_len=4, construction="tracr")
    assert isinstance(model, Model)
    assert model.facts["construction"] == "tracr"
    assert isinstance(program, Program)
    assert program.verdicts[0].holds
    assert program.facts["lines"][0]["components"] == ["L0H0", "mlp0"]
    (found, *_) = bench("rasp.decompile", model="@1")
    assert isinstance(found, Program)
    assert "every weight is the same" in found.summary
    for option in ("layer_norm", "pack"):
        with pytest.raises(CallError, match="neither LayerNorm nor packing"):
            bench("rasp.compile", program="hist", vocab="a,b", max_len=3, construction="tracr", **{option: True})


def test_tracr_is_imported_in_one_file() -> None:
    engine = Path(__file__).resolve().parents[3] / "engine"
    meeting = [p.name for p in engine.rglob("*.py") if "from tracr" in p.read_text() or "import tracr" in p.read_text()]
    assert meeting == ["original.py"]


def test_one_unit_cleans_for_all_widths_of_a_layer_and_once_too_often() -> None:
    """As the original does: it reads the beginning token once for each of them, and leaves -1 there."""
    c = compile_program(*read("two_heads"), TRACR)
    first, second = (v for v in c.variables if v.op == "SelectorWidth")
    w_in = c.state["blocks.0.mlp.W_in"][c.residual.index("tokens:compiler_bos")]
    assert w_in[w_in != 0].tolist() == [2]
    at_bos = forward.run(c, forward.encode(c, [[1, 2, 3]])).resid[-1, 0, 0]
    for v in (first, second):
        assert at_bos[[v.dims[0], v.attention_dim]] == pytest.approx(-1, abs=1e-3)
    found = decompile(to_config(c), c.state, to_labels(c))
    assert (found.verification.kind, found.verification.holds, found.unread) == ("weights", True, ())


@pytest.mark.skipif(importlib.util.find_spec("tracr") is None, reason="the extra tracr is not installed")
@pytest.mark.parametrize("name", [*LIBRARY, *WRITTEN])
@pytest.mark.filterwarnings("ignore")
def test_the_real_tracr_compiles_to_the_weights_of_ours(name: str) -> None:
    program, domain = read(name)
    found, known = compile_with_tracr(program, domain), compile_program(program, domain, TRACR)
    assert_same_model(found, known)
    assert_variables_are_where_they_are_said(found, known)
