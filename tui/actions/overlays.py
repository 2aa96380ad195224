"""What can be done in forms, the palette, help, drawers, notes and questions."""

from __future__ import annotations

from tui.actions.action import Action, on_overlay

OVERLAYS: tuple[Action, ...] = (
    on_overlay(
        "overlay.close", "Close", "Close this and go back; a field is left first.", "escape q", verb="close", hint=99
    ),
    on_overlay("form.run", "Run", "Start the operation with these values.", "ctrl+j f10", verb="run", hint=1),
    on_overlay("form.next", "Next field", "Go to the next field.", "tab down", verb="next", hint=2),
    on_overlay("form.previous", "Field before", "Go to the field before.", "shift+tab up", verb="previous"),
    on_overlay("palette.next", "Next entry", "Go to the next entry.", "down tab ctrl+n", verb="next", hint=1),
    on_overlay("palette.previous", "Entry before", "Go to the entry before.", "up shift+tab", verb="previous"),
    on_overlay("palette.run", "Run", "Do the entry, or the typed command line.", "enter", verb="run", hint=2),
    on_overlay("help.search", "Search", "Search the keys and their help.", "/", verb="search", hint=1),
    on_overlay("help.run", "Run", "Do the entry under the cursor.", "enter", verb="run", hint=2),
    on_overlay("jobs.stop", "Stop", "Stop the step under the cursor.", "x", verb="stop", hint=1),
    on_overlay("jobs.resume", "Resume", "Go on with the step under the cursor.", "c", verb="resume", hint=2),
    on_overlay("jobs.open", "Show", "Show the step under the cursor in every view.", "enter", verb="open", hint=3),
    on_overlay("note.save", "Save", "Keep the note in the session file.", "ctrl+j f10", verb="save", hint=1),
    on_overlay("note.delete", "Delete", "Remove this note.", "f8", verb="delete", hint=2),
    on_overlay("question.yes", "Yes", "Do it.", "y enter", verb="yes", hint=1),
    on_overlay("question.no", "No", "Leave everything as it is.", "n", verb="close", hint=2),
    on_overlay("find.keep", "Keep", "Keep the filter and go back to the table.", "enter", verb="keep", hint=1),
    on_overlay(
        "artifact.program",
        "Write on in RASP",
        "Put the RASP program of the row under the cursor into the editor of the RASP view.",
        "enter e",
        verb="program",
        hint=1,
    ),
    on_overlay(
        "library.take", "Take", "Put the program under the cursor into the editor.", "enter", verb="take", hint=1
    ),
    on_overlay("choose.take", "Take", "Take the result under the cursor.", "enter", verb="take", hint=1),
    on_overlay("export.write", "Write", "Write the chosen format.", "enter", verb="write", hint=1),
    on_overlay("message.copy", "Copy", "Copy the whole text.", "y", verb="copy", hint=1),
    on_overlay("size.quit", "Quit", "Leave; the engine goes on with a running step.", "q ctrl+q", verb="quit"),
)
