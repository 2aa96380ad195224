"""What can be done in Sweep, Attention, Circuit or Program only: each row names a `do_...` method of the pane."""

from __future__ import annotations

from tui.actions.action import Action, on_pane

SWEEP: tuple[Action, ...] = (
    on_pane(
        "sweep.parts",
        "Heatmap or ranking",
        "Show the heatmap, the ranking, or both where there is room.",
        "v",
        verb="parts",
        hint=11,
    ),
    on_pane(
        "sweep.other",
        "Other result",
        "Show another sweep or another score of this investigation.",
        "o",
        verb="other",
        hint=12,
    ),
    on_pane(
        "sweep.width", "Cell width", "Draw cells narrower, wider, or as the number itself.", "w", verb="width", hint=13
    ),
    on_pane(
        "sweep.mark",
        "Mark for a what-if",
        "Mark or unmark the head or MLP under the cursor.",
        "space",
        verb="mark",
    ),
    on_pane(
        "sweep.what_if",
        "What if these were gone?",
        "Ablate the marked heads and MLPs at once, or the one under the cursor: metrics and next tokens.",
        "a",
        verb="what_if",
        hint=14,
    ),
    on_pane(
        "sweep.slice_back",
        "Slice before",
        "Of a result with more than two axes: the slice before.",
        ",",
        verb="slice",
        arg=-1,
    ),
    on_pane(
        "sweep.slice_on",
        "Slice after",
        "Of a result with more than two axes: the next slice.",
        ".",
        verb="slice",
        arg=1,
        hint=15,
    ),
    on_pane("sweep.map", "Colour map", "Use another colour map for numbers that have no sign.", "c", verb="map"),
)

ATTENTION: tuple[Action, ...] = (
    on_pane(
        "attention.grid",
        "All heads",
        "Show all heads as thumbnails, or the selected one large.",
        "t",
        verb="grid",
        hint=11,
    ),
    on_pane(
        "attention.side",
        "Clean, corrupt, difference",
        "Show the clean prompt's pattern, the corrupt one's, or clean minus corrupt.",
        "d",
        verb="side",
        hint=12,
    ),
    on_pane(
        "attention.average",
        "Average over the set",
        "Show the mean pattern over all prompts, or one prompt's.",
        "A",
        verb="average",
        hint=13,
    ),
    on_pane(
        "attention.scale",
        "Colour scale",
        "Scale colours per head, over all heads, or fixed from 0 to 1.",
        "a",
        verb="scale",
        hint=14,
    ),
    on_pane("attention.width", "Cell width", "Draw cells narrower, wider, or as the number itself.", "w", verb="width"),
    on_pane("attention.map", "Colour map", "Use another colour map.", "c", verb="map"),
    on_pane(
        "attention.finer",
        "Zoom in",
        "Show a pooled pattern finer; it scrolls with the cursor.",
        "+",
        verb="zoom",
        arg=1,
    ),
    on_pane(
        "attention.coarser", "Zoom out", "Show a pattern coarser, up to all of it at once.", "-", verb="zoom", arg=-1
    ),
    on_pane(
        "attention.tokens",
        "Tokens",
        "Show or hide the prompt's tokens, clean over corrupt, with named positions.",
        "v",
        verb="tokens",
    ),
)

CIRCUIT: tuple[Action, ...] = (
    on_pane(
        "circuit.more",
        "More detail",
        "Grid, names, boxes with scores, one node with all its edges: one level on.",
        "+",
        verb="level",
        arg=1,
        hint=12,
    ),
    on_pane("circuit.less", "Less detail", "One level of detail back.", "-", verb="level", arg=-1, hint=13),
    on_pane("circuit.fewer", "Fewer edges", "Raise the threshold on |weight|.", ".", verb="threshold", arg=1, hint=15),
    on_pane("circuit.edges", "More edges", "Lower the threshold on |weight|.", ",", verb="threshold", arg=-1, hint=16),
    on_pane(
        "circuit.focus",
        "Focus",
        "Only the selected node's ancestors and descendants, or everything again.",
        "o",
        verb="focus_cone",
        hint=17,
    ),
    on_pane(
        "circuit.matrix",
        "Matrix view",
        "Draw the edges as a source x target matrix, or as lines.",
        "M",
        verb="matrix",
    ),
    on_pane(
        "circuit.all",
        "Parts outside the circuit",
        "Show what was looked at and found not to belong, or hide it.",
        "a",
        verb="everything",
    ),
    on_pane(
        "circuit.fold", "Fold this layer", "Leave the selected node's layer out, or bring it back.", "v", verb="fold"
    ),
    on_pane("circuit.centre", "Centre", "Bring the selected node to the middle.", "0", verb="centre"),
    on_pane(
        "circuit.curve",
        "Held-out curve",
        "Show or hide the metric as parts go, on the prompts that decide and on those held out.",
        "c",
        verb="curve",
        hint=11,
    ),
    on_pane(
        "circuit.compare",
        "Compare with…",
        "Choose another circuit and see both in one graph: = has both, A only this one, B only the other.",
        "d",
        verb="compare",
        hint=14,
    ),
    on_pane("circuit.other", "Other result", "Show another circuit of this investigation.", "t", verb="other"),
    on_pane("circuit.pan_left", "Pan left", "Move the drawing.", "H", verb="pan_x", arg=-8),
    on_pane("circuit.pan_right", "Pan right", "Move the drawing.", "L", verb="pan_x", arg=8),
    on_pane("circuit.pan_up", "Pan up", "Move the drawing.", "K", verb="pan_y", arg=-4),
    on_pane(
        "circuit.pan_down",
        "Pan down",
        "Move the drawing (the jobs drawer stays in the palette).",
        "J",
        verb="pan_y",
        arg=4,
    ),
)

PROGRAM: tuple[Action, ...] = (
    on_pane(
        "program.part",
        "Next stage",
        "Open the next stage on the way to the program: weights, normal form, states, machine, formulas, program, "
        "proof. [ and ] walk over absent ones too, which say why they are.",
        "v",
        verb="part",
        hint=11,
    ),
    on_pane(
        "program.step",
        "Step an input",
        "Write a sequence, such as 0 1 1 0, or 0 1 | 1 1 for two; it runs through the network and the program.",
        "a",
        verb="step",
        hint=12,
    ),
    on_pane(
        "program.next",
        "Next position",
        "One input on: the network's state, the machine's state and the program's variables move together.",
        ".",
        verb="position",
        arg=1,
        hint=9,
    ),
    on_pane("program.previous", "Position before", "One input back.", ",", verb="position", arg=-1),
    on_pane(
        "program.diff",
        "Compare with…",
        "Choose another program, of another network too, and see both, or show this one alone again.",
        "d",
        verb="diff",
        hint=14,
    ),
    on_pane(
        "program.other",
        "Other program",
        "Show another program or benchmark of this investigation.",
        "t",
        verb="other",
        hint=15,
    ),
    on_pane(
        "program.edit",
        "Write on in RASP",
        "Put this RASP program into the editor of the RASP view.",
        "e",
        verb="edit",
        hint=16,
    ),
    on_pane(
        "program.turn", "Turn the axes", "Show the hidden states along another pair of dimensions.", "o", verb="turn"
    ),
    on_pane(
        "program.lattice",
        "Lattice",
        "Draw the lattice over the hidden states, or leave it out.",
        "#",
        verb="lattice",
        hint=17,
    ),
    on_pane("program.pan_left", "Pan left", "Move the automaton's drawing.", "H", verb="pan_x", arg=-8),
    on_pane("program.pan_right", "Pan right", "Move the automaton's drawing.", "L", verb="pan_x", arg=8),
    on_pane("program.pan_up", "Pan up", "Move the automaton's drawing.", "K", verb="pan_y", arg=-4),
    on_pane(
        "program.pan_down",
        "Pan down",
        "Move the automaton's drawing (the jobs drawer stays in the palette).",
        "J",
        verb="pan_y",
        arg=4,
    ),
)
