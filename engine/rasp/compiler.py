"""From a program to the weights of a transformer (sections 2 and 3 of the reference; Lindner et al. 2023).

Every s-op owns directions of the residual stream; a head or a group of hidden units reads the directions of its inputs
and writes its own. Weights are therefore gathered as lists of (row, column, value) and written at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.rasp import mlp
from engine.rasp.attention import Pattern, pattern
from engine.rasp.compiled import BOS, OURS, PAD, Array, Compiled, Construction, Domain, Head, Units, Variable
from engine.rasp.functions import Value
from engine.rasp.language import (
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    Select,
    SelectorWidth,
    SequenceMap,
    SOp,
    Tokens,
    labels,
    nodes,
)
from engine.rasp.layering import Arrangement, Layers, allocate
from engine.rasp.remembered import Remembered
from engine.rasp.validation import CompileError, check_domain, check_nodes, placed
from engine.rasp.value_sets import (
    DROPPED,
    NOTHING,
    ValueSet,
    image,
    image_of_sequence_map,
    in_order,
    infer_nodes,
    numbers,
    same_source,
)
from sessions.errors import CallError

MOST_WEIGHTS = 2**29  # 2 GiB

Ints = np.ndarray[Any, np.dtype[np.intp]]

_blocks: Remembered[mlp.Block] = Remembered()


def compile_program(
    program: SOp, domain: Domain, construction: Construction = OURS, arrange: Arrangement = allocate
) -> Compiled:
    """The program as a transformer over inputs of 1 to `domain.max_len` tokens after the beginning token.

    Its decoded output is what the interpreter gives wherever that is defined and not None. `arrange` says which layer
    and head computes what (`packing` has another); aggregates it gives one head must read one selector.
    CallError names the node that cannot be compiled, or says what grows too large.
    """
    check_domain(domain)
    order, names = nodes(program), labels(program)
    check_nodes(program, order, names)
    sets = infer_nodes(order, domain, construction, names)
    return _Assembly(program, domain, construction, order, names, sets, arrange).compiled()


class _Assembly:
    """One compilation: where everything lives, and the weights so far."""

    def __init__(
        self,
        program: SOp,
        domain: Domain,
        construction: Construction,
        order: list[Node],
        names: dict[Node, str],
        sets: dict[SOp, ValueSet],
        arrange: Arrangement,
    ) -> None:
        self.program, self.domain, self.construction = program, domain, construction
        self.names, self.sets = names, sets
        self.layers: Layers = arrange(order, list(names))
        self.tokens_name, self.indices_name = "tokens", "indices"
        self._lay_out()

    def _lay_out(self) -> None:
        """Residual directions, sorted by name and, within a name, by value."""
        domain, names = self.domain, self.names
        self.token_values = in_order((*in_order(domain.vocab), BOS, PAD))
        groups: dict[str, tuple[Value, ...] | None] = {
            "tokens": self.token_values,
            "indices": tuple(range(domain.max_len)),
        }
        if self.construction.repaired or self._reads_one():
            groups["one"] = None
        for node in self.layers.layer:
            label = names[node]
            extra = f"{label}_selector_width_attn_output" if isinstance(node, SelectorWidth) else None
            for name in (label, extra):
                if name in groups:
                    raise CompileError(f"two things are called '{name}'", node, "rename one of them")
            groups[label] = self.sets[node].values if node.encoding == "categorical" else None
            if extra is not None:
                groups[extra] = None
        start: dict[str, int] = {}
        residual: list[str] = []
        for name in sorted(groups):
            start[name] = len(residual)
            values = groups[name]
            if values is None:
                residual.append(name)
            else:
                residual.extend([f"{name}:{v}" for v in values])
        self.residual = tuple(residual)
        self.d_model = len(residual)
        self.one = start.get("one", 0)
        place = {v: i for i, v in enumerate(self.token_values)}
        self.bos, self.pad = place[BOS], place[PAD]
        tokens_at = start["tokens"]
        self.bos_dim, self.pad_dim, self.token_dims_at = tokens_at + self.bos, tokens_at + self.pad, tokens_at
        self.indices_dims = np.arange(start["indices"], start["indices"] + domain.max_len)
        vocab = in_order(domain.vocab)
        self.tokens_dims = np.array([tokens_at + place[v] for v in vocab])
        self.dims: dict[Node, Ints] = {}
        self.attention_dim: dict[Node, int] = {}
        for source in names:
            if isinstance(source, Tokens):
                self.dims[source] = self.tokens_dims
            elif isinstance(source, Indices):
                self.dims[source] = self.indices_dims
        for node in self.layers.layer:
            first = start[names[node]]
            count = len(self.sets[node]) if node.encoding == "categorical" else 1
            self.dims[node] = np.arange(first, first + count)
            if isinstance(node, SelectorWidth):
                self.attention_dim[node] = start[f"{names[node]}_selector_width_attn_output"]

    def _reads_one(self) -> bool:
        """Lookups and sums do without; then the original leaves the direction out."""
        for node in self.layers.layer:
            if isinstance(node, Map) and node.inner.encoding == "categorical":
                continue
            if isinstance(node, SequenceMap) and same_source(*node.inputs):
                continue
            if not isinstance(node, LinearSequenceMap):
                return True
        return False

    def compiled(self) -> Compiled:
        layers, names = self.layers, self.names
        n_layers, n_heads = len(layers.mlps), layers.n_heads
        blocks: list[tuple[SOp, mlp.Block, Ints, Ints, Units]] = []
        d_mlp = 1
        units: dict[Node, Units] = {}
        for layer, members in enumerate(layers.mlps):
            at = 0
            cleaners: list[int] = []
            for node in sorted(members, key=names.__getitem__):
                with placed(node):
                    block, sources, targets = self._block(node)
                if isinstance(node, SelectorWidth) and not self.construction.repaired:
                    # The original has one unit for all widths of a layer, which reads BOS once for each of them.
                    cleaners.append(at + block.hidden - 1)
                    if len(cleaners) > 1:
                        block = mlp.cleaned_by(block, cleaners[0] - at, len(cleaners))
                units[node] = Units(layer, at, at + block.hidden)
                blocks.append((node, block, sources, targets, units[node]))
                at += block.hidden
            d_mlp = max(d_mlp, at)
        patterns: dict[SOp, Pattern] = {node: self._pattern(node) for node in layers.heads}
        d_head = 1
        columns: dict[Head, int] = {}  # of V, that are taken: more than one operation may share a head
        first: dict[SOp, int] = {}
        for node, found in patterns.items():
            of = layers.heads[node]
            first[node] = columns.get(of, 0)
            columns[of] = first[node] + (len(self.dims[node.sop]) if isinstance(node, Aggregate) else 1)
            d_head = max(d_head, found.d_head, columns[of])
        self._check_size(n_layers, n_heads, d_head, d_mlp)

        d = self.d_model
        w_q = np.zeros((n_layers, n_heads, d, d_head), np.float32)
        w_k, w_v = np.zeros(w_q.shape, np.float32), np.zeros(w_q.shape, np.float32)
        w_o = np.zeros((n_layers, n_heads, d_head, d), np.float32)
        w_in = np.zeros((n_layers, d, d_mlp), np.float32)
        w_out = np.zeros((n_layers, d_mlp, d), np.float32)
        for node, (layer, head) in layers.heads.items():
            self._write_head(
                node,
                patterns[node],
                w_q[layer, head],
                w_k[layer, head],
                w_v[layer, head, :, first[node] :],
                w_o[layer, head, first[node] :],
            )
        for _, block, sources, targets, (layer, at, _stop) in blocks:
            w_in[layer, sources[block.reads], block.into + at] = block.in_weights
            w_out[layer, block.of + at, targets[block.writes]] = block.out_weights

        state: dict[str, Array] = self._embeddings()
        for layer in range(n_layers):
            prefix = f"blocks.{layer}."
            state[prefix + "attn.W_Q"] = w_q[layer]
            state[prefix + "attn.W_K"] = w_k[layer]
            state[prefix + "attn.W_V"] = w_v[layer]
            state[prefix + "attn.W_O"] = w_o[layer]
            state[prefix + "mlp.W_in"] = w_in[layer]
            state[prefix + "mlp.W_out"] = w_out[layer]
        out = self.dims[self.program]
        unembed = np.zeros((d, len(out)), np.float32)
        unembed[out, np.arange(len(out))] = 1
        state["unembed.W_U"] = unembed
        return Compiled(
            program=self.program,
            domain=self.domain,
            construction=self.construction,
            n_layers=n_layers,
            n_heads=n_heads,
            d_model=d,
            d_head=d_head,
            d_mlp=d_mlp,
            attn_scale=1.0 if self.construction.repaired else float(np.sqrt(d_head)),
            state=state,
            tokens=self.token_values,
            bos=self.bos,
            pad=self.pad,
            outputs=self.sets[self.program].values if self.program.encoding == "categorical" else None,
            residual=self.residual,
            variables=self._variables(units),
            masks_pad=self.construction.repaired,
        )

    def _check_size(self, n_layers: int, n_heads: int, d_head: int, d_mlp: int) -> None:
        count = n_layers * self.d_model * (4 * n_heads * d_head + 2 * d_mlp)
        if count > MOST_WEIGHTS:
            raise CallError(
                f"the model would have {count:,} weights: {n_layers} layers, {self.d_model:,} directions, "
                f"{d_mlp:,} hidden units and {n_heads} heads of {d_head:,}",
                remedy="use a smaller vocabulary or max_len",
            )

    def _embeddings(self) -> dict[str, Array]:
        count = len(self.token_values)
        embed = np.zeros((count, self.d_model), np.float32)
        embed[np.arange(count), self.token_dims_at + np.arange(count)] = 1
        if "one" in self.residual:
            embed[:, self.one] = 1
        positions = np.zeros((self.domain.max_len + 1, self.d_model), np.float32)
        positions[1 + np.arange(self.domain.max_len), self.indices_dims] = 1
        return {"embed.W_E": embed, "pos_embed.W_pos": positions}

    def _pattern(self, node: SOp) -> Pattern:
        selector = node.inputs[0]
        assert isinstance(selector, Select)
        try:
            return pattern(
                selector.predicate,
                self.sets[selector.keys],
                self.sets[selector.queries],
                self.construction,
                counts=isinstance(node, SelectorWidth),
                none=(self._can_be_none(selector.keys), self._can_be_none(selector.queries)),
            )
        except CallError:
            raise
        except Exception as error:
            raise CompileError(f"the predicate of '{self.names[selector]}' fails: {error}", selector) from error

    def _can_be_none(self, sop: SOp) -> bool:
        """As far as its operations tell. (A number is never None: what was, is 0.)"""
        waiting: list[Node] = [sop]
        seen: set[Node] = set()
        while waiting:
            node = waiting.pop()
            if node in seen or not isinstance(node, SOp) or node.encoding == "numerical":
                continue
            seen.add(node)
            if isinstance(node, Aggregate):
                return True
            if isinstance(node, Map) and NOTHING in image(node.f, self.sets[node.inner], "").to:
                return True
            if isinstance(node, SequenceMap) and NOTHING in image_of_sequence_map(node, self.sets, "").to:
                return True
            if isinstance(node, Map | SequenceMap):
                waiting.extend(node.inputs)
        return False

    def _write_head(self, node: SOp, p: Pattern, w_q: Array, w_k: Array, w_v: Array, w_o: Array) -> None:
        selector = node.inputs[0]
        queries, keys = self.dims[selector.queries], self.dims[selector.keys]
        w_q[np.append(queries, [self.one, self.bos_dim])[p.reads], p.columns] = p.weights
        w_k[keys, np.arange(len(keys))] = 1
        w_k[self.bos_dim, len(keys)] = 1
        if self.construction.repaired:
            w_k[self.pad_dim, len(keys) + 1] = 1
        if p.width > len(keys) + 2:
            w_k[self.one, len(keys) + 2] = 1
        if isinstance(node, Aggregate):
            values = self.dims[node.sop]
            columns = np.arange(len(values))
            w_v[values, columns] = 1
            w_o[columns, self.dims[node]] = 1
        else:
            w_v[self.bos_dim, 0] = 1
            w_o[0, self.attention_dim[node]] = 1

    def _block(self, node: SOp) -> tuple[mlp.Block, Ints, Ints]:
        """Hidden units, and which directions their sources and targets are."""
        dims, out = self.dims, self.dims[node]
        if isinstance(node, SelectorWidth):
            at = self.attention_dim[node]
            return self._units(node), np.array([at, self.one, self.bos_dim]), np.append(out, at)
        if isinstance(node, LinearSequenceMap):
            return mlp.linear(*node.factors), np.array([dims[child][0] for child in node.inputs]), out
        x = node.inputs[0]
        if isinstance(node, SequenceMap) and not same_source(*node.inputs):
            return self._units(node), np.concatenate([dims[x], dims[node.inputs[1]], [self.one]]), out
        if x.encoding == "categorical":
            return self._units(node), dims[x], out
        return self._units(node), np.array([dims[x][0], self.one, self.bos_dim]), out

    def _units(self, node: SOp) -> mlp.Block:
        """Made once for a function and its value sets."""
        key = (
            type(node),
            node.encoding,
            getattr(node, "f", self.domain.max_len),
            *(self.sets.get(child) for child in node.inputs),
            self.construction,
            [child.encoding for child in node.inputs if isinstance(child, SOp)] == ["numerical"],
            isinstance(node, SequenceMap) and same_source(*node.inputs),  # a map then: other units, on equal sets
        )
        known = _blocks.get(key)
        if known is not None:
            return known
        found = self._make_units(node)
        return _blocks.keep(key, found, 3 * (len(found.reads) + len(found.of)))

    def _make_units(self, node: SOp) -> mlp.Block:
        construction, names = self.construction, self.names
        label, outputs = names[node], len(self.dims[node])
        if isinstance(node, SelectorWidth):
            categorical = node.encoding == "categorical"
            return mlp.width(self.domain.max_len, outputs, categorical, construction, label)
        if isinstance(node, SequenceMap):
            x, y = node.inputs
            table = image_of_sequence_map(node, self.sets, label)
            return mlp.lookup(table) if same_source(x, y) else mlp.pairs(table, len(self.sets[x]), len(self.sets[y]))
        assert isinstance(node, Map)
        x = node.inner
        table = image(node.f, self.sets[x], label)
        if x.encoding == "categorical" and node.encoding == "categorical":
            return mlp.lookup(table)
        to = np.array(table.to)
        if node.encoding == "numerical":
            values = numbers(table.out, label)
            if x.encoding == "categorical":
                weights = np.where(to >= 0, values[np.maximum(to, 0)], 0.0) if len(values) else np.zeros(len(to))
                return mlp.weigh(weights, construction)
            kept = to >= 0
            result: Any = values[to[kept]]
        else:
            kept = to != DROPPED
            result = np.where(to[kept] == NOTHING, -1, to[kept])
        at_values = numbers(self.sets[x], names[x])[kept]
        if not len(at_values):
            raise CompileError(f"'{label}' has no value at all", node, "its function is not defined anywhere")
        return mlp.of_number(at_values, result, outputs, construction, label)

    def _variables(self, units: dict[Node, Units]) -> tuple[Variable, ...]:
        """The inputs, then operations in the order of the half layers that write them."""
        names, layers = self.names, self.layers
        tokens = next(node for node in names if isinstance(node, Tokens))
        indices = next((node for node in names if isinstance(node, Indices)), None)
        bare: dict[Node, str] = {node: names[tokens] for node in names if isinstance(node, Tokens)}
        if indices is not None:
            bare |= {node: names[indices] for node in names if isinstance(node, Indices)}
        found = [
            Variable(
                names[tokens],
                "Tokens",
                "categorical",
                self.sets[tokens].values,
                tuple(self.tokens_dims.tolist()),
                node=tokens,
            ),
            Variable(
                names[indices] if indices is not None else "indices",
                "Indices",
                "categorical",
                tuple(range(self.domain.max_len)),
                tuple(self.indices_dims.tolist()),
                node=indices,
            ),
        ]

        def half_layer(node: SOp) -> tuple[int, int, int]:
            layer = layers.layer[node]
            if isinstance(node, Aggregate):
                return layer, 0, layers.heads[node].head
            return layer, 1, units[node].start

        for node in sorted(layers.layer, key=half_layer):
            read = node.inputs
            if isinstance(node, Aggregate):
                read = (node.selector.inputs[0], node.selector.inputs[1], node.sop)
            elif isinstance(node, SelectorWidth):
                read = node.selector.inputs
            values = self.sets.get(node)
            found.append(
                Variable(
                    label=names[node],
                    op=type(node).__name__,  # type: ignore[arg-type]
                    encoding=node.encoding,
                    values=values.values if values is not None else None,
                    dims=tuple(self.dims[node].tolist()),
                    reads=tuple(bare.get(child, names[child]) for child in read),
                    head=layers.heads.get(node),
                    units=units.get(node),
                    attention_dim=self.attention_dim.get(node),
                    node=node,
                )
            )
        return tuple(found)
