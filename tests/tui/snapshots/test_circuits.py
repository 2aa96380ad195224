"""Circuits of edges with the curve that left them, two circuits in one graph, and an answer about a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from sessions.artifacts import Column, Curve, Edge, Graph, Series, Table
from sessions.components import Head
from tests.tui.fake import FakeFile
from tests.tui.snapshots import content
from tests.tui.snapshots.conftest import Opened, at_rest

Compare = Callable[[Any], None]
SIZES = {"80x24": (80, 24), "160x50": (160, 50)}
AT: dict[str, Any] = {
    "parameters": {"model": "@1", "prompts": "@2"}, "inputs": {"model": 1, "prompts": 2}, "environment": content.HERE,
}  # fmt: skip


def edges_kept(cut: int = 3) -> Graph:
    """The circuit as one of edges: those into a head name its input, and the weakest are cut."""
    whole = content.circuit()
    heads = {node.id for node in whole.nodes if isinstance(node.component, Head)}
    weakest = sorted(abs(edge.weight) for edge in whole.edges)[:cut]
    edges = [
        msgspec.structs.replace(edge, input="qkv"[at % 3] if edge.target in heads else None)
        for at, edge in enumerate(whole.edges)
    ]
    edges.append(Edge("embed", "L0H1", 0.35, input="k"))  # beside its q edge: one line, two entries in the list
    kept = tuple(msgspec.structs.replace(edge, kept=abs(edge.weight) not in weakest) for edge in edges)
    return msgspec.structs.replace(
        whole,
        title=f"Circuit of {sum(edge.kept for edge in kept)} edges (ACDC, tau 0.01 nats)",
        edges=kept,
        level="edges",
    )


def curve() -> Series:
    cut = np.arange(13.0)
    decides = np.round(0.004 * np.expm1(0.35 * cut), 4)
    return Series(
        title="ACDC: kl as edges go", x=cut, x_name="edges cut", y_name="nats",
        curves=(Curve("prompts that decide", decides), Curve("held out", np.round(decides * 1.3, 4))),
    )  # fmt: skip


def found() -> FakeFile:
    file = content.loaded()
    step = file.add_step("circuits.acdc", seconds=12.0, **AT)
    file.add(step, edges_kept())
    file.add(step, curve())
    return file


@pytest.mark.parametrize("size", SIZES)
async def test_edges_and_the_curve_that_left_them(opened: Opened, same_picture: Compare, size: str) -> None:
    async with opened(found(), SIZES[size], model=1, layer=5, head=1) as (bench, pilot):
        await at_rest(pilot, "5")
        same_picture(bench.app)


async def test_the_curve_alone_where_both_have_no_room(opened: Opened, same_picture: Compare) -> None:
    async with opened(found(), SIZES["80x24"], model=1, layer=5, head=1) as (bench, pilot):
        await at_rest(pilot, "5", "c")
        same_picture(bench.app)


@pytest.mark.parametrize("size", SIZES)
async def test_two_circuits_compared(opened: Opened, same_picture: Compare, size: str) -> None:
    whole = content.circuit()
    sides = ("both", "first", "both", "second")
    nodes = tuple(
        msgspec.structs.replace(node, side="second" if node.id == "L10H7" else "both", kept=True)
        for node in whole.nodes
    )
    edges = tuple(
        msgspec.structs.replace(edge, side=sides[at % 4] if "L10H7" not in (edge.source, edge.target) else "second")
        for at, edge in enumerate(whole.edges)
    )
    both = msgspec.structs.replace(
        whole, title="tpp: 14 edges beside tpp: 13 edges", nodes=nodes, edges=edges, facts={"names": ["one", "other"]}
    )
    file = found()
    file.add(file.add_step("circuits.compare", seconds=0.1, **AT), both)
    async with opened(file, SIZES[size], model=1, layer=5, head=1) as (bench, pilot):
        await at_rest(pilot, "5")
        same_picture(bench.app)


@pytest.mark.parametrize("size", SIZES)
async def test_an_answer_about_a_head(opened: Opened, same_picture: Compare, size: str) -> None:
    file = found()
    asked = {**AT, "parameters": {**AT["parameters"], "components": "L5H1", "row": 1}}
    step = file.add_step("circuits.what_if", seconds=0.3, **asked)
    number = Column("before", "float"), Column("after", "float"), Column("change", "float")
    facts = {"ablation": "zero", "metric": "logit_diff", "n": 12, "weights": "as trained"}
    file.add(
        step,
        Table(
            title="What if L5H1 were gone (zero)", columns=(Column("metric", "text"), *number), facts=facts,
            rows=(("logit difference", 4.213, 1.874, -2.339), ("accuracy", 1.0, 0.75, -0.25)),
        ),
    )  # fmt: skip
    file.add(
        step,
        Table(
            title="Next tokens of prompt 1", columns=(Column("token", "text"), *number), facts=facts,
            rows=((" wabe", 0.9912, 0.5127, -0.4785), (" tove", 0.0031, 0.2214, 0.2183)),
        ),
    )  # fmt: skip
    async with opened(file, SIZES[size], model=1, prompts=2, row=0, layer=5, head=1) as (bench, pilot):
        await at_rest(pilot, "5", "W")
        same_picture(bench.app)
