"""The original compiler, Tracr (Lindner et al. 2023, github.com/google-deepmind/tracr), where the extra `tracr` is
installed: our program in its objects, and its model in our names (section 4 of the reference).

Nothing is executed from text: Tracr calls our functions as they are. It is imported here and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from engine.rasp.compiled import BOS, PAD, TRACR, Array, Compiled, Domain, Head, Units, Variable
from engine.rasp.compiler import compile_program
from engine.rasp.functions import Value
from engine.rasp.language import (
    Aggregate,
    Comparison,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    Predicate,
    Select,
    SelectorWidth,
    SequenceMap,
    SOp,
    Tokens,
    labels,
    nodes,
)
from sessions.errors import CallError, IwbError

INSTALL = "install it: pip install 'tracr @ git+https://github.com/google-deepmind/tracr' (the extra iwb[tracr])"
EXACTNESS = 100  # Tracr's own `mlp_exactness`, which is one number for all thresholds


class Tracr(NamedTuple):
    """What of the package is used."""

    rasp: Any  # tracr.rasp.rasp
    compiling: Any  # tracr.compiler.compiling


def find_tracr() -> Tracr:
    """The installed package. CallError, and how to install it, where it is missing or cannot be imported."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # else JAX takes most of a GPU's memory, to fill it with zeros
    try:
        from tracr.compiler import compiling
        from tracr.rasp import rasp
    except ImportError as error:
        own = (error.name or "tracr").partition(".")[0] == "tracr"  # else something that it needs
        missing = "is not installed" if own else f"cannot be imported ({error})"
        raise CallError(f"the original compiler, Tracr, {missing}", "construction=tracr", INSTALL) from None
    return Tracr(rasp, compiling)


def compile_with_tracr(program: SOp, domain: Domain) -> Compiled:
    """The program as the real Tracr compiles it: its weights in HookedTransformer's names, and where every s-op lives
    in them. Directions are named as in `compile_program(program, domain, TRACR)`; heads and units are in Tracr's order.

    CallError: no Tracr; a program that cannot be compiled, as our validation or Tracr itself says.
    """
    tracr = find_tracr()
    known = compile_program(program, domain, TRACR)  # says first, and by name, what cannot be compiled
    theirs = to_tracr(program, tracr.rasp)
    try:
        model = tracr.compiling.compile_rasp_to_model(
            theirs,
            vocab=set(domain.vocab),
            max_seq_len=domain.max_len,
            causal=domain.causal,
            compiler_bos=BOS,
            compiler_pad=PAD,
            mlp_exactness=EXACTNESS,
        )
    except IwbError:
        raise
    except Exception as error:  # of many types, an AssertionError among them
        said = " ".join(str(error).split()) or "no reason given"
        raise CallError(f"Tracr cannot compile it: {type(error).__name__}, {said}", "construction=tracr") from error
    return from_tracr(model, known, theirs.label)


def to_tracr(program: SOp, rasp: Any) -> Any:
    """The program in Tracr's objects, node for node, with names, encodings and numbers of ours.

    `rasp`: the module tracr.rasp.rasp. The program is one that compiles: constants and joined selectors have no place.
    """
    names = labels(program)
    made: dict[Node, Any] = {}
    for node in nodes(program):
        if isinstance(node, Tokens | Indices):  # Tracr has one of each, and knows them by identity
            made[node] = rasp.tokens if isinstance(node, Tokens) else rasp.indices
            continue
        copy = _made(node, [made[child] for child in node.inputs], rasp).named(node.name)
        if isinstance(node, SOp):
            copy = rasp.numerical(copy) if node.encoding == "numerical" else rasp.categorical(copy)
        # Tracr takes the number in a label from a counter of the process: without this the same program would get
        # other names, and so another order of directions, every time.
        copy.unique_id = int(names[node].rsplit("_", 1)[1])
        made[node] = copy
    return made[program]


def _made(node: Node, inputs: list[Any], rasp: Any) -> Any:
    match node:
        case Map():
            return rasp.Map(node.f, *inputs, simplify=False)  # ours is simplified as it was meant to be
        case SequenceMap():
            return rasp.SequenceMap(node.f, *inputs)
        case LinearSequenceMap():
            return rasp.LinearSequenceMap(*inputs, *node.factors)
        case Select():
            return rasp.Select(*inputs, _predicate(node.predicate, rasp))
        case Aggregate():
            return rasp.Aggregate(*inputs, default=node.default)
        case SelectorWidth():
            return rasp.SelectorWidth(*inputs)
    raise CallError(f"'{node.name}' cannot be compiled", f"line {node.line}" if node.line else "")


def _predicate(predicate: Predicate, rasp: Any) -> Any:
    if isinstance(predicate, Comparison):
        return rasp.Comparison[predicate.name]

    def call(key: Value, query: Value) -> bool:
        return bool(predicate(key, query))

    return call


def from_tracr(model: Any, known: Compiled, output: str) -> Compiled:
    """Tracr's AssembledTransformerModel in our names. `known`: the same program in our rendering of Tracr's
    construction, which says what the variables are; `output`: the label of the program's last s-op.

    CallError when the model is not of that construction (biases, LayerNorm, other directions).
    """
    residual = tuple(str(name) for name in model.residual_labels)
    _check_directions(residual, known)
    tokens = _by_id(model.input_encoder.encoding_map)
    encoding = getattr(model.output_encoder, "encoding_map", None)  # a NumericalEncoder has none
    outputs = None if encoding is None else _by_id(encoding)
    shape = model.model_config
    if shape.layer_norm:
        raise _unknown("it has LayerNorm")
    state = hooked(model.params, shape.num_layers, shape.num_heads)
    # From the labels: the output's directions are wherever their names sort them.
    place = {name: i for i, name in enumerate(residual)}
    names = [output] if outputs is None else [f"{output}:{value}" for value in outputs]
    missing = next((name for name in names if name not in place), None)
    if missing is not None:
        raise _unknown(f"it has no direction '{missing}'")
    unembed = np.zeros((len(residual), len(names)), np.float32)
    unembed[[place[name] for name in names], np.arange(len(names))] = 1
    state["unembed.W_U"] = unembed
    d_head = state["blocks.0.attn.W_Q"].shape[2]
    return replace(
        known,
        n_layers=shape.num_layers,
        n_heads=shape.num_heads,
        d_model=len(residual),
        d_head=d_head,
        d_mlp=state["blocks.0.mlp.W_in"].shape[1],
        attn_scale=float(np.sqrt(d_head)),
        state=state,
        tokens=tokens,
        bos=tokens.index(BOS),
        pad=tokens.index(PAD),
        outputs=outputs,
        residual=residual,
        variables=tuple(_located(v, known, place, state, shape.num_layers) for v in known.variables),
    )


def hooked(params: Mapping[str, Mapping[str, Any]], n_layers: int, n_heads: int) -> dict[str, Array]:
    """Haiku's parameters of a Tracr model by HookedTransformer's names, in float32, without the unembedding, which
    is none of its parameters. Haiku has heads side by side, [d_model, heads * d_head]. CallError where a bias is not 0.
    """
    for module, arrays in params.items():
        if "b" in arrays and np.any(np.asarray(arrays["b"])):
            raise _unknown(f"{module} has biases")

    def weights(module: str, name: str = "w") -> Array:
        try:
            return np.array(params[module][name], np.float32)
        except KeyError:
            raise _unknown(f"it has no {module}/{name}") from None

    state = {
        "embed.W_E": weights("token_embed", "embeddings"),
        "pos_embed.W_pos": weights("pos_embed", "embeddings"),
    }
    for layer in range(n_layers):
        theirs, ours = f"transformer/layer_{layer}", f"blocks.{layer}"
        for name, of in (("W_Q", "query"), ("W_K", "key"), ("W_V", "value")):
            dense = weights(f"{theirs}/attn/{of}")
            by_head = dense.reshape(len(dense), n_heads, -1).swapaxes(0, 1)
            state[f"{ours}.attn.{name}"] = np.ascontiguousarray(by_head)
        dense = weights(f"{theirs}/attn/linear")
        state[f"{ours}.attn.W_O"] = dense.reshape(n_heads, -1, dense.shape[1])
        state[f"{ours}.mlp.W_in"] = weights(f"{theirs}/mlp/linear_1")
        state[f"{ours}.mlp.W_out"] = weights(f"{theirs}/mlp/linear_2")
    return state


def _located(v: Variable, known: Compiled, place: dict[str, int], state: dict[str, Array], n_layers: int) -> Variable:
    """The variable where it is in Tracr's weights: the head and the units are those that write its directions. What
    writes nothing anywhere (a factor of 0) stays where our own construction has it."""
    dims = tuple(place[known.residual[d]] for d in v.dims)
    counted = None if v.attention_dim is None else place[known.residual[v.attention_dim]]
    head, units = v.head, v.units
    for layer in range(n_layers):
        if v.head is not None:
            by_head = state[f"blocks.{layer}.attn.W_O"][:, :, dims if counted is None else (counted,)]
            for found in np.flatnonzero(by_head.any(axis=(1, 2))):
                head = Head(layer, int(found))
        if v.units is not None:
            writing = np.flatnonzero(state[f"blocks.{layer}.mlp.W_out"][:, dims].any(axis=1))
            if len(writing):
                # A hidden unit sorted away from the others (one that cleans up) is not in the run that is shown.
                run = max(np.split(writing, np.flatnonzero(np.diff(writing) > 1) + 1), key=len)
                units = Units(layer, int(run[0]), int(run[-1]) + 1)
    return replace(v, dims=dims, attention_dim=counted, head=head, units=units)


def _check_directions(residual: tuple[str, ...], known: Compiled) -> None:
    if len(set(residual)) < len(residual):
        twice = next(name for i, name in enumerate(residual) if name in residual[:i])
        raise CallError(
            f"two directions of Tracr's model are called '{twice}', and nothing tells them apart",
            "construction=tracr",
            "use values that are written differently (1 and '1' are not)",
        )
    other = set(residual) ^ set(known.residual)
    if other:
        raise _unknown(f"{len(other)} of its directions are others, '{min(other)}' among them")


def _by_id(encoding: Mapping[Value, int]) -> tuple[Value, ...]:
    return tuple(value for value, _ in sorted(encoding.items(), key=lambda pair: pair[1]))


def _unknown(what: str) -> CallError:
    return CallError(
        f"Tracr's model is not of the construction known here: {what}",
        "construction=tracr",
        "construction=original builds what Tracr built at commit 9ce2b8c",
    )
