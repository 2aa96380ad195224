"""The drawings of a program beside or behind each other, and how a position of an input moves through them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widget import Widget

from sessions.artifacts import AnyArtifact, Graph, Points, Program
from tui.panes.program_lines import Origin, lines_with, notes_of
from tui.panes.program_stage import StagePart
from tui.panes.program_stages import Stage
from tui.panes.program_steps import Loop, Walk, loop_of, node_of, notes_at, point_at
from tui.panes.program_verdicts import compared_of, said_of
from tui.widgets.automaton_picture import breadth_first
from tui.widgets.code_view import CodeView
from tui.widgets.graph_view import GraphView
from tui.widgets.lattice import Lattice, lattice_of
from tui.widgets.scatter import Scatter

WIDE, TALL = 96, 20  # from this size on the opened stage stands beside the code
TOWERING = 32  # and from this height on, in a narrower view, below it
OVERVIEW = "program"  # with this stage opened, the machine and the states stand beside the code where there is room


class ProgramParts(Container):
    """Holds the code, the automaton, the states and the opened stage; says what of it has room."""

    DEFAULT_CSS: ClassVar[str] = """
    ProgramParts { layout: horizontal; height: 1fr; }
    ProgramParts.-stacked { layout: vertical; }
    ProgramParts > CodeView, ProgramParts > #machine { width: 1fr; height: 1fr; }
    ProgramParts.-beside > #machine { border-left: solid $foreground 30%; }
    ProgramParts.-stacked > #machine { height: 2fr; border-top: solid $foreground 30%; }
    ProgramParts.-beside.-rasp > CodeView { width: 2fr; }
    ProgramParts.-both Scatter { border-top: solid $foreground 30%; }
    """

    def __init__(self) -> None:
        super().__init__(id="program-parts")
        self.stages: tuple[Stage, ...] = ()
        self.opened = OVERVIEW
        self.origins: tuple[Origin, ...] = ()  # of a RASP program: the weights that each line is
        self._drawn: Stage | None = None
        self._loop: Loop | None = None
        self._path: tuple[Walk | None, Points, list[tuple[float, ...] | None]] | None = None

    def compose(self) -> ComposeResult:
        yield CodeView(id="program-code")
        with Vertical(id="machine"):
            yield GraphView()
            yield Scatter()
            yield StagePart()

    @property
    def code(self) -> CodeView:
        return self.query_one("#program-code", CodeView)

    @property
    def graph_view(self) -> GraphView:
        return self.query_one(GraphView)

    @property
    def scatter(self) -> Scatter:
        return self.query_one(Scatter)

    @property
    def stage_part(self) -> StagePart:
        return self.query_one(StagePart)

    # ---- what is there

    def _first(self, stage: str, kind: type[AnyArtifact]) -> AnyArtifact | None:
        held = next((s.held for s in self.stages if s.name == stage), ())
        return next((artifact for _, artifact in held if isinstance(artifact, kind)), None)

    @property
    def graph(self) -> Graph | None:
        found = self._first("machine", Graph)
        return found if isinstance(found, Graph) else None

    @property
    def graph_id(self) -> int | None:
        """The automaton's id among the artifacts."""
        held = next((s.held for s in self.stages if s.name == "machine"), ())
        return next((number for number, artifact in held if isinstance(artifact, Graph)), None)

    @property
    def points(self) -> Points | None:
        found = self._first("states", Points)
        return found if isinstance(found, Points) else None

    def _lattice(self, points: Points) -> Lattice | None:
        """The lattice of the states: the drawing's own, else one found afterwards in the same plane."""
        stage = self.stage("states")
        drawn = [a for _, a in (stage.held if stage is not None else ()) if isinstance(a, Points)]
        found = [lattice for a in (points, *drawn) if a.axis_names == points.axis_names and (lattice := lattice_of(a))]
        return found[0] if found else None

    def stage(self, name: str) -> Stage | None:
        return next((stage for stage in self.stages if stage.name == name), None)

    # ---- drawing

    def show(
        self, program: Program, stages: Sequence[Stage], origins: Sequence[Origin], marked: frozenset[int]
    ) -> None:
        """Draw a program with its stages; `marked` are the lines that are to be seen at once."""
        self.stages, self.origins = tuple(stages), tuple(origins)
        self._loop = loop_of(program.source) if program.language == "python" else None
        said, notes = said_of(program), notes_of(self.origins)
        self.code.show(program.source, program.language, said=said, notes=notes, marks=marked)
        self._draw_beside(program)

    def show_diff(self, old: Program, new: Program, ids: tuple[str, str], stages: Sequence[Stage]) -> None:
        """Draw what changed from one program to the other; `ids` as a person writes them."""
        self.stages, self.origins, self._loop = tuple(stages), (), None
        said = [line for one, program in zip(ids, (old, new)) for line in compared_of(program, one)]
        names = f"{ids[0]} {old.title}", f"{ids[1]} {new.title}"
        self.code.show_diff(old.source, new.source, new.language, names=names, said=said)
        self._draw_beside(new)

    def _draw_beside(self, program: Program) -> None:
        self.graph_view.show(self.graph, empty="this program was not read from an automaton")
        if self.points is not None:
            self.scatter.show(self.points, self._lattice(self.points))
        stage = self.stage(self.opened)
        if stage is not self._drawn:
            self._drawn = stage
            self.stage_part.show(stage, program)

    def open(self, stage: str, program: Program) -> None:
        """Open another stage."""
        self.opened = stage
        self._draw_beside(program)

    # ---- layout

    @property
    def beside(self) -> bool:
        """Whether the opened stage stands beside the code."""
        return self.size.width >= WIDE and self.size.height >= TALL

    @property
    def everything(self) -> bool:
        return self.beside or self.size.height >= TOWERING

    def fit(self, *, comparing: bool) -> None:
        """Show what has room: the code and the opened stage, or one of them; two versions have all of it."""
        every, overview = self.everything, self.opened == OVERVIEW
        graph, scatter, stage = self.graph_view, self.scatter, self.stage_part
        graph.display = self.graph is not None and (self.opened == "machine" or (overview and every))
        scatter.display = self.points is not None and (self.opened == "states" or (overview and every))
        stage.display = not overview and not graph.display and not scatter.display
        shows = (graph.display or scatter.display or stage.display) and not comparing
        self.query_one("#machine").display = shows
        self.code.display = comparing or every or overview
        self.set_class(self.beside, "-beside")
        self.set_class(every and not self.beside, "-stacked")
        self.set_class(graph.display and scatter.display, "-both")
        self.set_class(bool(self.origins), "-rasp")

    def main(self) -> Widget | None:
        """What takes the keys of the opened stage; None where nothing of it can have the focus."""
        if self.opened == OVERVIEW or not self.query_one("#machine").display:
            return self.code if self.code.display else None
        for widget in self.query_one("#machine").query(Widget):
            if (
                widget.focusable
                and widget.display
                and all(a.display for a in widget.ancestors if isinstance(a, Widget))
            ):
                return widget
        return self.code if self.code.display else None

    # ---- moving together

    def follow_node(self, node: str | None) -> None:
        """A state of the machine is chosen: in the automaton, and its hidden states in the scatter."""
        graph, points = self.graph, self.points
        if graph is not None and node is not None and node_of(graph, node):
            self.graph_view.select(node)
        if points is not None:
            picture = self.scatter.picture
            self.scatter.follow(picture.path, picture.here, picture.here_words, self._group(node))

    def _group(self, node: str | None) -> int | None:
        """The group of points that a state's hidden states are; none is told apart where states are not numbered."""
        groups = self.scatter.picture.groups
        graph = self.graph
        if node is None or groups is None or graph is None or not node.isdecimal() or not node_of(graph, node):
            return None
        return int(node) if int(node) in groups else None

    def follow_walk(self, walk: Walk | None, position: int) -> None:
        """An input has come to a position: the hidden state's point, the machine's state, the program's variables."""
        points = self.points
        if points is not None:
            path = self._path_of(walk, points)
            known = [place for place in path if place is not None]
            here = path[position] if path else None
            state = walk.state(position) if walk is not None else ""
            node = node_of(self.graph, state) if self.graph is not None and state else ""
            words = f"position {position + 1}" + (f", state {state}" if state else "")
            self.scatter.follow(known, here, words, self._group(node or None))
        self._take(walk, position)
        self.stage_part.follow(walk, position, self._loop)
        if self._loop is None or self.code.diff:
            return
        notes = notes_at(walk, position, self._loop) if walk is not None else {}
        changed = {line for line, text in notes.items() if "→" in text}
        self.code.annotate(notes, changed)

    def _path_of(self, walk: Walk | None, points: Points) -> list[tuple[float, ...] | None]:
        """Where an input's hidden states lie among the points; found once for each input."""
        if self._path is None or self._path[0] is not walk or self._path[1] is not points:
            places = [] if walk is None else [point_at(walk, i, points) for i in range(walk.length)]
            self._path = (walk, points, places)
        return self._path[2]

    def _take(self, walk: Walk | None, position: int) -> None:
        """The transition that the machine has made."""
        graph = self.graph
        if graph is None or self.origins:
            return
        if walk is None:
            self.graph_view.take("", "")
            return
        start = breadth_first(graph)[0].id if graph.nodes else ""
        before = node_of(graph, walk.state(position - 1)) if position else start
        self.graph_view.take(before, node_of(graph, walk.state(position)))

    def mark(self, component: object) -> frozenset[int]:
        """Mark the lines of a RASP program that this part of the model computes; which they are."""
        lines = lines_with(self.origins, component)  # type: ignore[arg-type]  # any component, or none
        self.code.mark(lines)
        return lines
