"""What can be done in the RASP view. Each row names a `do_...` method of its pane.

While a person types, letters belong to the text: what is wanted there has a key that no text contains, too.
"""

from __future__ import annotations

from tui.actions.action import Action, on_pane

RASP: tuple[Action, ...] = (
    on_pane("rasp.write", "Write", "Go to the editor; esc leaves it.", "e", verb="write", hint=11),
    on_pane(
        "rasp.compile",
        "Compile",
        "Compile the program as it stands into a model, as a step; r opens the form with all options.",
        "c ctrl+j f10",
        verb="compile",
        hint=12,
    ),
    on_pane(
        "rasp.trace",
        "Run the input",
        "Run the input through the program, and through the model it was compiled to, if it was.",
        "t f9",
        verb="trace",
        hint=13,
    ),
    on_pane("rasp.input", "Write an input", "Go to the input's field; enter runs it.", "a", verb="input", hint=16),
    on_pane(
        "rasp.vocab",
        "Write the vocabulary",
        "Go to the field of the tokens, such as 1,2,3 or a,b,c; tab goes on to the length, enter leaves it.",
        "V f3",
        verb="vocab",
    ),
    on_pane(
        "rasp.part",
        "Values, matrices",
        "Go to the next part: the variables, every s-op's values, selectors beside attention patterns.",
        "v f8",
        verb="part",
        hint=14,
    ),
    on_pane(
        "rasp.library",
        "Start from…",
        "Put a program of the library, or one of this investigation, into the editor.",
        "o f4",
        verb="library",
        hint=15,
    ),
    on_pane("rasp.next", "Next selector", "Show the next selector and its head.", ".", verb="pair", arg=1),
    on_pane("rasp.previous", "Selector before", "Show the selector before this one.", ",", verb="pair", arg=-1),
    on_pane("rasp.width", "Cell width", "Draw cells narrower, wider, or as the number itself.", "w", verb="width"),
    on_pane("rasp.map", "Colour map", "Use another colour map.", "C", verb="map"),
)
