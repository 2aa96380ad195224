"""A stand-in for the package `tracr`: the parts of its interface that we use, written after its documentation. Its
objects are RASP expressions as Tracr has them; its "compilation" is ours of Tracr's construction, laid out as Haiku's
parameters, with heads and hidden units in another order. So what comes back must be the weights that went in."""

from __future__ import annotations

import enum
import itertools
import sys
from collections.abc import Callable
from functools import cached_property
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engine.rasp import language as ours
from engine.rasp.compiled import TRACR, Compiled, Domain
from engine.rasp.compiler import compile_program

_numbers = itertools.count(40)  # a process in which Tracr has compiled before


class Expression:
    default = "expression"

    def __init__(self, *children: Any) -> None:
        self.children = children
        self.annotations: dict[str, Any] = {}

    @cached_property
    def unique_id(self) -> int:
        return next(_numbers)

    @property
    def label(self) -> str:
        return f"{self.annotations.get('name', self.default)}_{self.unique_id}"

    def named(self, name: str) -> Expression:
        self.annotations["name"] = name
        return self


class Source(Expression):
    @property
    def label(self) -> str:
        return self.default


class Map(Expression):
    def __init__(self, f: Callable[..., Any], inner: Expression, simplify: bool = True) -> None:
        super().__init__(inner)
        assert callable(f)
        assert not simplify  # else Tracr would join maps that were to stay two
        self.f = f


class SequenceMap(Expression):
    def __init__(self, f: Callable[..., Any], fst: Expression, snd: Expression) -> None:
        super().__init__(fst, snd)
        self.f = f


class LinearSequenceMap(Expression):
    def __init__(self, fst: Expression, snd: Expression, fst_fac: float, snd_fac: float) -> None:
        super().__init__(fst, snd)
        self.factors = (fst_fac, snd_fac)


class Comparison(enum.Enum):
    EQ = "=="
    LT = "<"
    LEQ = "<="
    GT = ">"
    GEQ = ">="
    NEQ = "!="
    TRUE = "True"
    FALSE = "False"


class Select(Expression):
    def __init__(self, keys: Expression, queries: Expression, predicate: Any) -> None:
        super().__init__(keys, queries)
        self.predicate = predicate


class Aggregate(Expression):
    def __init__(self, selector: Expression, sop: Expression, default: Any = None) -> None:
        super().__init__(selector, sop)
        self.default_value = default


class SelectorWidth(Expression):
    def __init__(self, selector: Expression) -> None:
        super().__init__(selector)


def _annotated(encoding: str) -> Callable[[Expression], Expression]:
    def annotate(sop: Expression) -> Expression:
        assert not isinstance(sop, Source)  # these are shared by all programs
        sop.annotations["encoding"] = encoding
        return sop

    return annotate


def _back(expression: Expression, made: dict[int, ours.Node]) -> Any:
    """The expression in our language, its functions opaque."""
    if id(expression) in made:
        return made[id(expression)]
    inputs: list[Any] = [_back(child, made) for child in expression.children]
    node: Any
    lang: Any = ours
    match expression:
        case Source():
            node = {"tokens": lang.tokens, "indices": lang.indices}[expression.default]
        case Map():
            node = lang.Map(lambda x: expression.f(x), *inputs, simplify=False)
        case SequenceMap():
            node = lang.SequenceMap(lambda x, y: expression.f(x, y), *inputs)
        case LinearSequenceMap():
            node = lang.LinearSequenceMap(*inputs, *expression.factors)
        case Select(predicate=Comparison()):
            node = lang.Select(*inputs, lang.Comparison[expression.predicate.name])
        case Select():
            node = lang.Select(*inputs, lambda key, query: expression.predicate(key, query))
        case Aggregate():
            node = lang.Aggregate(*inputs, default=expression.default_value)
        case _:
            node = lang.SelectorWidth(*inputs)
    if not isinstance(expression, Source):
        node = node.named(expression.annotations["name"])
        if expression.annotations.get("encoding") == "numerical":
            node = ours.numerical(node)
    made[id(expression)] = node
    return node


def compile_rasp_to_model(
    program: Expression,
    vocab: set[Any],
    max_seq_len: int,
    causal: bool = False,
    compiler_bos: str = "",
    compiler_pad: str = "",
    mlp_exactness: int = 100,
) -> SimpleNamespace:
    """An AssembledTransformerModel, as far as it is looked at."""
    assert isinstance(vocab, set)
    assert mlp_exactness == TRACR.exactness
    made: dict[int, ours.Node] = {}
    sink = _back(program, made)
    c = compile_program(sink, Domain(tuple(vocab), max_seq_len, causal), TRACR)
    theirs: dict[str, str] = {}
    names = ours.labels(sink)

    def rename(expression: Expression) -> None:
        theirs[names[made[id(expression)]]] = expression.label
        for child in expression.children:
            rename(child)

    rename(program)

    def direction(name: str) -> str:
        label, colon, value = name.partition(":")
        label, suffix, _ = label.partition("_selector_width_attn_output")
        return theirs.get(label, label) + suffix + colon + value

    output = SimpleNamespace()
    if c.outputs is not None:
        output.encoding_map = {value: i for i, value in enumerate(c.outputs)}
    return SimpleNamespace(
        params=haiku(c),
        model_config=SimpleNamespace(
            num_heads=c.n_heads,
            num_layers=c.n_layers,
            key_size=c.d_head,
            mlp_hidden_size=c.d_mlp,
            layer_norm=False,
            causal=causal,
        ),
        residual_labels=[direction(name) for name in c.residual],
        input_encoder=SimpleNamespace(
            encoding_map={value: i for i, value in enumerate(c.tokens)},
            bos_token=compiler_bos,
            pad_token=compiler_pad,
        ),
        output_encoder=output,
    )


def haiku(c: Compiled) -> dict[str, dict[str, Any]]:
    """Heads side by side in dense matrices, biases of zero; heads and hidden units in the reverse order."""
    params: dict[str, dict[str, Any]] = {
        "token_embed": {"embeddings": c.state["embed.W_E"]},
        "pos_embed": {"embeddings": c.state["pos_embed.W_pos"]},
    }
    for layer in range(c.n_layers):
        b, t = f"blocks.{layer}.", f"transformer/layer_{layer}"
        dense: dict[str, Any] = {
            f"{t}/attn/{name}": np.concatenate(list(c.state[f"{b}attn.{of}"][::-1]), axis=1)
            for name, of in (("query", "W_Q"), ("key", "W_K"), ("value", "W_V"))
        }
        dense[f"{t}/attn/linear"] = np.concatenate(list(c.state[f"{b}attn.W_O"][::-1]), axis=0)
        dense[f"{t}/mlp/linear_1"] = c.state[f"{b}mlp.W_in"][:, ::-1]
        dense[f"{t}/mlp/linear_2"] = c.state[f"{b}mlp.W_out"][::-1]
        params |= {name: {"w": w, "b": np.zeros(w.shape[1], np.float32)} for name, w in dense.items()}
    return params


def install(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put it where `import tracr` looks, for one test. Gives what stands for the two modules."""
    names = ("tracr", "tracr.rasp", "tracr.rasp.rasp", "tracr.compiler", "tracr.compiler.compiling")
    modules: dict[str, Any] = {name: ModuleType(name) for name in names}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(modules[parent], last, module)
    rasp, compiling = modules["tracr.rasp.rasp"], modules["tracr.compiler.compiling"]
    for of in (Map, SequenceMap, LinearSequenceMap, Comparison, Select, Aggregate, SelectorWidth):
        setattr(rasp, of.__name__, of)
    rasp.tokens, rasp.indices = Source(), Source()
    rasp.tokens.default, rasp.indices.default = "tokens", "indices"
    rasp.numerical, rasp.categorical = _annotated("numerical"), _annotated("categorical")
    compiling.compile_rasp_to_model = compile_rasp_to_model
    return SimpleNamespace(rasp=rasp, compiling=compiling)
