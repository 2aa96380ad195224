"""Exports: every step is in every format, unfinished ones are said, foreign text stays text."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from markdown_it import MarkdownIt

from sessions.artifacts import Axis, Column, Curve, Edge, Graph, Matrix, Node, Points, Program, Series, Table, Text
from sessions.errors import CallError, ErrorRecord, IwbError
from sessions.export import FORMATS, export
from sessions.export.colours import colour, ink
from sessions.export.document import LARGEST_ARRAY
from sessions.export.drawings import drawing, ordered
from sessions.export.heatmaps import heatmap
from sessions.export.html import contents
from sessions.export.markdown import code, fenced, plain
from sessions.export.plots import curves
from sessions.file import SessionFile
from sessions.recipes import parse
from sessions.steps import Environment

HOSTILE = (
    '</pre><script>alert("x")</script><img src="http://evil.example/a.png"> ![p](http://evil.example/b.png) `` \x1b[31m'
)


@pytest.mark.parametrize("to", ["md", "html", "ipynb", "json"])
def test_every_step_says_its_command_parameters_seed_environment_status(investigation: Any, to: str) -> None:
    text = export(investigation, to, name="tour")
    for said in (
        "models.load",
        "circuits.head_sweep",
        "synthesis.program",
        "zoo:tpp",
        "2.4.1",
        "Zero ablation of every head",
    ):
        assert said in text
    # unfinished steps are said in every format
    for said in ("interrupted", "cancelled", "failed", "no such file", "First try.", "Why the *second*"):
        assert said in text or (to == "html" and said == "Why the *second*" and "Why the <em>second</em>" in text)


def test_a_report_says_how_far_an_interrupted_step_came(investigation: Any) -> None:
    for to in ("md", "html", "ipynb"):
        text = export(investigation, to)
        assert "at 90 of 144 after 7.5 s, without a result; it can be resumed" in text
        assert "failed" in text
        assert "Traceback: " not in text


def test_an_unknown_format_is_refused_with_the_nearest(investigation: Any) -> None:
    with pytest.raises(CallError, match="unknown format 'htm'; did you mean 'html'"):
        export(investigation, "htm")


@pytest.mark.parametrize("to", sorted(FORMATS))
def test_an_empty_investigation_exports(to: str) -> None:
    empty = SimpleNamespace(steps=lambda: (), artifacts=lambda step=None: (), artifact=None, notes=lambda: ())
    assert export(empty, to, name="nothing yet")  # type: ignore[arg-type]


@pytest.mark.parametrize("to", ["md", "html", "ipynb", "json"])
def test_a_damaged_artifact_is_said_in_its_place(investigation: Any, to: str) -> None:
    whole = investigation.artifact

    def damaged(number: int) -> Any:
        if number == 4:
            raise IwbError("artifact @4 is not what was stored", remedy="run its step again")
        return whole(number)

    investigation.artifact = damaged
    text = export(investigation, to)
    assert "artifact @4 is not what was stored" in text
    assert "The circuit" in text


def test_the_recipe_export_is_a_recipe(investigation: Any) -> None:
    assert [step.id for step in parse(export(investigation, "recipe")).steps] == [
        "model", "prompts", "sweep", "curve", "program",
    ]  # fmt: skip


def test_a_session_file_exports_in_every_format(tmp_path: Path, kinds: dict[str, Any]) -> None:
    with SessionFile.open(tmp_path / "tour of heads.iwb", create=True) as session:
        step = session.add_step(operation="x.y", version=1, parameters={"n": 1}, seed=2, key="k", inputs={})
        session.finish(step.id, list(kinds.values()), seconds=0.5, environment=Environment(torch="2.4.1"))
        session.add_note("Seen.", step=step.id)
        for to in FORMATS:
            text = export(session, to)
            assert "x.y" in text
            assert "tour of heads" in text
            assert to == "recipe" or ("Seen." in text and all(artifact.title in text for artifact in kinds.values()))


# ---- JSON -----------------------------------------------------------------------------------------------------------


def test_the_document_holds_the_arrays_and_their_conditions(investigation: Any) -> None:
    whole = json.loads(export(investigation, "json", name="tour"))
    assert (whole["format"], whole["version"], whole["name"]) == ("iwb", 1, "tour")
    sweep = whole["steps"][2]
    assert sweep["parameters"]["ablation"] == "zero"
    assert sweep["environment"]["torch"] == "2.4.1"
    matrix = sweep["artifacts"][0]
    assert matrix["notes"][0]["text"] == "Look at L1H1 <here>"
    values = matrix["artifact"]["values"]
    assert values[0] == [0.5, -1.25, 0.0]
    assert values[1][0] is None  # NaN is not JSON
    assert matrix["artifact"]["facts"] == {"ablation": "zero", "n": 100}


def test_an_array_too_large_is_given_by_its_shape(investigation: Any) -> None:
    values = np.zeros((2, LARGEST_ARRAY // 2 + 1), dtype=np.float32)
    investigation.add("x.big", {}, Matrix(title="big", values=values, axes=(Axis("a"), Axis("b"))))
    whole = json.loads(export(investigation, "json"))
    assert whole["steps"][-1]["artifacts"][0]["artifact"]["values"] == {
        "shape": [2, LARGEST_ARRAY // 2 + 1], "dtype": "float32", "omitted": True,
    }  # fmt: skip


# ---- HTML -----------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Checks that tags close in order, and collects them with their attributes."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def hostile_everywhere(investigation: Any) -> None:
    """Steps whose every text tries to be markup."""
    investigation.add(
        HOSTILE,
        {"path": HOSTILE, HOSTILE: HOSTILE},
        Text(title=HOSTILE, summary=HOSTILE, facts={HOSTILE: HOSTILE}, markdown=HOSTILE),
        Table(title="t", columns=(Column(HOSTILE, "text", unit=HOSTILE, help=HOSTILE),), rows=((HOSTILE,),)),
        Matrix(
            title=HOSTILE,
            unit=HOSTILE,
            values=np.ones((1, 1)),
            axes=(Axis(HOSTILE, (HOSTILE,)), Axis(HOSTILE, (HOSTILE,))),
        ),
        Series(title=HOSTILE, x=np.arange(3), x_name=HOSTILE, y_name=HOSTILE, curves=(Curve(HOSTILE, np.ones(3)),)),
        Points(title=HOSTILE, xy=np.ones((1, 2)), labels=(HOSTILE,), axis_names=(HOSTILE, HOSTILE)),
        Graph(title=HOSTILE, nodes=(Node("a", HOSTILE, 0), Node("b", "b", 1)), edges=(Edge("a", "b", 1.0, HOSTILE),)),
        Graph(title=HOSTILE, layout="automaton", nodes=(Node("a", HOSTILE, 0),), edges=(Edge("a", "a", 1.0, HOSTILE),)),
        Program(title=HOSTILE, source=HOSTILE, language=HOSTILE),
        Program(title=HOSTILE, source=HOSTILE, language="python"),
        status="failed",
        error=ErrorRecord(HOSTILE, HOSTILE, HOSTILE),
    )
    investigation.note(HOSTILE, step=len(investigation.steps()))


def test_the_page_is_well_formed_loads_nothing_and_runs_nothing(investigation: Any) -> None:
    hostile_everywhere(investigation)
    text = export(investigation, "html", name=HOSTILE)
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use")
        assert not any(name.startswith("on") for name in attributes)
        assert not {"src", "srcset", "xlink:href", "data"} & attributes.keys()
        # A link that somebody wrote in a note loads nothing until it is followed.
        assert re.match("#|https?://", attributes.get("href") or "#")
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {"#unknown", "#arrow"}
    assert "@import" not in text
    assert "\x1b" not in text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)


def test_drawings_are_xml(investigation: Any) -> None:
    hostile_everywhere(investigation)
    found = re.findall(r"<svg.*?</svg>", export(investigation, "html"), re.DOTALL)
    assert len(found) >= 10
    for picture in found:
        ElementTree.fromstring(picture)


def svg(text: str) -> ElementTree.Element:
    found = re.search(r"<svg.*?</svg>", text, re.DOTALL)
    assert found
    return ElementTree.fromstring(found[0])


def test_every_cell_of_a_heatmap_has_its_number_under_the_pointer() -> None:
    values = np.array([[0.5, -1.25], [np.nan, 3.0]])
    picture = svg(
        heatmap(Matrix(title="m", values=values, axes=(Axis("layer"), Axis("head")), unit="logits", scale="diverging"))
    )
    rects = picture.findall("rect")
    assert [rect.findtext("title") for rect in rects] == [
        "L0H0: 0.500000 logits", "L0H1: -1.25000 logits", "L1H0: not computed", "L1H1: 3.00000 logits",
    ]  # fmt: skip
    assert rects[2].get("fill") == "url(#unknown)"
    assert rects[3].get("fill") == colour(3.0, -1.25, 3.0, signed=True)


def test_a_large_matrix_is_pooled_and_many_slices_are_cut_and_both_are_said() -> None:
    values = np.zeros((250, 3))
    values[247, 1] = -2.0
    text = heatmap(Matrix(title="m", values=values, axes=(Axis("layer"), Axis("head"))))
    rects = svg(text).findall("rect")
    assert len(rects) == 84 * 3  # 250 rows in blocks of 3
    assert rects[82 * 3 + 1].findtext("title") == "L246H1 (block of 3 x 1): -2.00000"
    assert "pooled" in text
    many = heatmap(Matrix(title="m", values=np.zeros((40, 2, 2)), axes=(Axis("a"), Axis("b"), Axis("c"))))
    assert many.count("<svg") == 12
    assert "the first 12 of 40 slices" in many


def test_one_axis_no_axis_and_no_entries_are_drawn_too() -> None:
    assert len(svg(heatmap(Matrix(title="m", values=np.arange(3), axes=(Axis("a"),)))).findall("rect")) == 3
    assert "2.500 nats" in heatmap(Matrix(title="m", values=np.array(2.5), axes=(), unit="nats"))
    assert "empty" in heatmap(Matrix(title="m", values=np.zeros((0, 2)), axes=(Axis("a"), Axis("b"))))


def test_a_circuit_draws_its_kept_part_with_signs(kinds: dict[str, Any]) -> None:
    text = drawing(kinds["graph"])
    picture = svg(text)
    assert len(picture.findall("rect")) == 4
    paths = {path.findtext("title"): path for path in picture.findall("path")}
    assert set(paths) == {
        "embed → L0H1: 0.750000 effect", "L0H1 → mlp0: -0.250000 effect", "L0H1 → logits a<b: 1.50000 effect",
    }  # fmt: skip
    assert paths["L0H1 → mlp0: -0.250000 effect"].get("stroke-dasharray")
    assert not paths["embed → L0H1: 0.750000 effect"].get("stroke-dasharray")
    assert "4 of 5 nodes kept; 3 of 4 edges kept" in text


def test_two_circuits_compared_are_told_apart_by_colour_dashes_and_words() -> None:
    nodes = (Node("a", "a", 0, side="both"), Node("b", "b", 1, side="first"), Node("c", "c", 1, side="second"))
    edges = (Edge("a", "b", -1.0, side="first"), Edge("a", "c", 1.0, side="second"), Edge("b", "c", 1.0, side="both"))
    text = drawing(Graph(title="g", nodes=nodes, edges=edges, facts={"first": "old <b>", "second": "new"}))
    assert "orange: only in old &lt;b&gt;; blue and dashed: only in new" in text
    picture = svg(text.replace("</figure>", "</figure>\n").splitlines()[0])
    boxes = {box.findtext("title"): box for box in picture.findall("rect")}
    assert set(boxes) == {"a, in both", "b, only in old <b>", "c, only in new"}
    assert len({box.get("fill") for box in boxes.values()}) == 3
    paths = {path.findtext("title"): path for path in picture.findall("path")}
    assert set(paths) == {
        "a → b: -1.00000, only in old <b>", "a → c: 1.00000, only in new", "b → c: 1.00000, in both",
    }  # fmt: skip
    assert [bool(path.get("stroke-dasharray")) for _, path in sorted(paths.items())] == [False, True, False]


def test_layers_are_ordered_to_cross_less() -> None:
    # a ladder listed backwards: a0-b2, a1-b1, a2-b0 has three crossings, and an order without any exists
    nodes = [Node(f"{row}{i}", f"{row}{i}", level) for level, row in enumerate("ab") for i in range(3)]
    edges = [Edge(f"a{i}", f"b{2 - i}") for i in range(3)]
    upper, lower = ordered(nodes, edges)
    place = {node.id: i for row in (upper, lower) for i, node in enumerate(row)}
    assert all(place[edge.source] == place[edge.target] for edge in edges)


def test_an_automaton_draws_states_and_groups_parallel_arrows() -> None:
    edges = (Edge("a", "b", label="0"), Edge("a", "b", label="1"), Edge("b", "b", label="0,1"))
    nodes = (Node("a", "a", 0), Node("b", "b", 1, accepting=True))
    picture = svg(drawing(Graph(title="g", layout="automaton", nodes=nodes, edges=edges)))
    assert len(picture.findall("circle")) == 3  # two states, and the second ring of the accepting one
    assert len(picture.findall("path")) == 2
    assert "0, 1" in [text.text for text in picture.findall("text")]


def test_a_curve_is_broken_where_a_value_is_missing() -> None:
    y = np.array([0.0, 1.0, np.nan, 1.0, 0.0])
    picture = svg(curves(Series(title="s", x=np.arange(5), x_name="x", curves=(Curve("c", y),))))
    assert len([p for p in picture.findall("path") if p.get("stroke-width") == "1.8"]) == 2
    assert len(picture.findall("circle")) == 4


def test_short_labels_stand_beside_points_and_long_ones_under_the_pointer() -> None:
    for label, beside in (("s0", True), ("state 0, after 3 inputs", False)):
        picture = svg(contents(Points(title="p", xy=np.eye(2), labels=(label, label))))
        assert (label in [text.text for text in picture.findall("text")]) is beside
        assert [(c.findtext("title") or "").partition(":")[0] for c in picture.findall("circle")] == [label, label]


def test_ticks_of_whole_numbers_are_whole() -> None:
    picture = svg(curves(Series(title="s", x=np.arange(9), x_name="x", curves=(Curve("c", np.arange(9) / 8),))))
    texts = [text.text for text in picture.findall("text")]
    assert texts[:5] == ["0", "2", "4", "6", "8"]
    assert texts[5:10] == ["0.00", "0.25", "0.50", "0.75", "1.00"]


def test_code_is_coloured_and_an_unknown_language_is_plain() -> None:
    assert '<span class="k">def</span>' in contents(Program(title="p", source="def f(): pass"))
    assert "def f" in contents(Program(title="p", source="def f", language="no such language"))


def test_colours_are_monotone_in_lightness_and_zero_is_white_where_signs_matter() -> None:
    def lightness(text: str) -> float:
        return sum(w * int(text[i : i + 2], 16) for w, i in ((0.2126, 1), (0.7152, 3), (0.0722, 5)))

    ramp = [lightness(colour(v, 0, 1, signed=False)) for v in np.linspace(0, 1, 33)]
    assert all(a < b for a, b in pairwise(ramp))
    assert colour(0.0, -1.0, 3.0, signed=True) == "#f7f7f7"
    assert colour(-3.0, -3.0, 1.0, signed=True) != colour(3.0, -1.0, 3.0, signed=True)
    assert (ink("#ffffff"), ink("#00224e")) == ("#000000", "#ffffff")


# ---- Markdown -------------------------------------------------------------------------------------------------------


def test_foreign_text_cannot_break_out_of_the_report(investigation: Any) -> None:
    """Rendered by a real Markdown parser, the report's own structure is all there is outside quotes."""
    hostile_everywhere(investigation)
    text = export(investigation, "md", name=HOSTILE)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    headings = [tokens[i + 1].content for i, t in enumerate(tokens) if t.type == "heading_open" and t.level == 0]
    steps = investigation.steps()
    assert len(headings) == 1 + len(steps) + sum(len(investigation.artifacts(s.id)) for s in steps)
    depth = 0
    for token in tokens:
        depth += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        outside = depth == 0
        assert not (outside and token.type == "html_block")
        for child in token.children or []:
            assert not (outside and child.type in ("html_inline", "image"))


def test_a_table_is_a_markdown_table(kinds: dict[str, Any], investigation: Any) -> None:
    html = MarkdownIt("commonmark").enable("table").render(export(investigation, "md"))
    assert "<td>L1|H0</td>" in html
    assert '<td style="text-align:right">-0.031</td>' in html


@pytest.mark.parametrize("text", ["a", "`", "``x`", "a`b", "", "x\ny"])
def test_code_survives_its_backticks(text: str) -> None:
    rendered = MarkdownIt("commonmark").render(code(text))
    assert rendered.startswith("<p><code>")
    inner = MarkdownIt("commonmark").parseInline(code(text))[0].children
    assert inner
    assert inner[0].content.strip() == " ".join(text.splitlines()).strip()
    block = MarkdownIt("commonmark").parse(fenced(text or "x", "python"))[0]
    assert (block.type, block.content) == ("fence", (text or "x") + "\n")


@pytest.mark.parametrize("text", ["a_b_c", "*x*", "[l](u)", "<b>", "# h", "a|b", "_x_", "back\\slash", "`c`"])
def test_escaped_text_reads_as_it_was(text: str) -> None:
    inline = MarkdownIt("commonmark").parseInline("x " + plain(text))[0].children
    assert inline
    assert "".join(child.content for child in inline) == "x " + text
    assert {child.type for child in inline} <= {"text", "text_special"}


# ---- notebook -------------------------------------------------------------------------------------------------------


class Stream(msgspec.Struct, tag_field="output_type", tag="stream", forbid_unknown_fields=True):
    name: Literal["stdout", "stderr"]
    text: str


class Display(msgspec.Struct, tag_field="output_type", tag="display_data", forbid_unknown_fields=True):
    data: dict[str, str]
    metadata: dict[str, Any]


class MarkdownCell(msgspec.Struct, tag_field="cell_type", tag="markdown", forbid_unknown_fields=True):
    id: str
    metadata: dict[str, Any]
    source: str


class CodeCell(msgspec.Struct, tag_field="cell_type", tag="code", forbid_unknown_fields=True):
    id: str
    metadata: dict[str, Any]
    source: str
    outputs: list[Stream | Display]
    execution_count: int | None


class Notebook(msgspec.Struct, forbid_unknown_fields=True):
    """nbformat 4.5, as far as we write it (nbformat.ipynb.org/en/latest/format_description.html)."""

    cells: list[MarkdownCell | CodeCell]
    metadata: dict[str, Any]
    nbformat: Literal[4]
    nbformat_minor: Literal[5]


def test_the_notebook_is_nbformat_4_with_unique_cell_ids(investigation: Any) -> None:
    hostile_everywhere(investigation)
    book = msgspec.json.decode(export(investigation, "ipynb", name="tour"), type=Notebook)
    ids = [cell.id for cell in book.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in ids)
    for cell in book.cells:
        if isinstance(cell, CodeCell):
            compile(cell.source, cell.id, "exec")


def test_the_notebook_runs_the_recipe_step_by_step(investigation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells, run against a stand-in for the iwb command, ask for the session's own steps and references."""
    calls: list[list[str]] = []
    made = 0
    left = iter([len(investigation.artifacts(n)) for n in range(1, 6)])

    def iwb(words: list[str], **_: Any) -> SimpleNamespace:
        nonlocal made
        if words[1] == "show":
            return SimpleNamespace(returncode=0, stdout="", stderr="")
        calls.append(words[3:-1])
        ids = [{"id": made + 1 + i} for i in range(next(left))]
        made += len(ids)
        return SimpleNamespace(returncode=0, stdout=json.dumps({"artifacts": ids}), stderr="")

    monkeypatch.setitem(sys.modules, "subprocess", SimpleNamespace(run=iwb))
    book = msgspec.json.decode(export(investigation, "ipynb", name="tour"), type=Notebook)
    scope: dict[str, Any] = {}
    for cell in book.cells:
        if isinstance(cell, CodeCell):
            exec(cell.source, scope)  # noqa: S102 - our own text, a moment old
    assert calls == [
        ["models.load", "source=zoo:tpp"],
        ["prompts.make", "task=tpp", "n=100", "--seed", "1"],
        ["circuits.head_sweep", "model=@1", "prompts=@2", "ablation=zero", "threshold=0.5"],
        ["circuits.curve", "graph=@5"],
        ["synthesis.program", "model=@1"],
    ]


def test_a_cell_names_the_members_of_a_list_by_what_earlier_cells_left(investigation: Any, kinds: Any) -> None:
    investigation.add("circuits.transfer", {"circuits": ["@5"], "models": ["@1", "@1"], "words": ["a", "@b"]})
    book = msgspec.json.decode(export(investigation, "ipynb"), type=Notebook)
    last = [cell.source for cell in book.cells if isinstance(cell, CodeCell)][-1]
    scope: dict[str, Any] = {"run": lambda *words: words, "model": [11], "sweep": [3, 4, 25]}
    exec(last, scope)  # noqa: S102 - our own text
    assert scope["transfer"][1:3] == ("circuits=@25", "models=@11,@11")


def test_a_failing_cell_says_why_in_one_line(investigation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = SimpleNamespace(returncode=2, stdout="", stderr="no such model\n")
    monkeypatch.setitem(sys.modules, "subprocess", SimpleNamespace(run=lambda *_, **__: refused))
    book = msgspec.json.decode(export(investigation, "ipynb"), type=Notebook)
    scope: dict[str, Any] = {}
    prelude, first = [cell.source for cell in book.cells if isinstance(cell, CodeCell)][:2]
    exec(prelude, scope)  # noqa: S102 - our own text
    with pytest.raises(RuntimeError, match=r"^no such model$"):
        exec(first, scope)  # noqa: S102 - our own text
