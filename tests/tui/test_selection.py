"""The one selection: notifications, the trail that backspace walks, saving and restoring."""

from __future__ import annotations

from sessions.components import Head, Mlp
from tui.selection import Selection, SelectionTrail, restored, saved


def test_listeners_hear_each_change_once_with_before_and_after() -> None:
    trail, heard = SelectionTrail(), []
    stop = trail.listen(lambda before, after: heard.append((before.layer, after.layer)))
    assert trail.change(layer=2)
    assert not trail.change(layer=2)
    stop()
    trail.change(layer=3)
    assert heard == [(0, 2)]


def test_a_walk_is_one_entry_on_the_trail() -> None:
    trail = SelectionTrail()
    trail.change(layer=5)
    for head in (1, 2, 3):
        trail.change(walk=True, head=head)
    trail.change(walk=True, layer=6)  # another field: another walk
    assert trail.back()
    assert (trail.now.layer, trail.now.head) == (5, 3)
    assert trail.back()
    assert (trail.now.layer, trail.now.head) == (5, 0)
    assert trail.back()
    assert trail.now == Selection()
    assert not trail.back()


def test_back_tells_the_listeners() -> None:
    trail, heard = SelectionTrail(), []
    trail.change(row=4)
    trail.listen(lambda before, after: heard.append(after.row))
    trail.back()
    assert heard == [0]


def test_a_view_keeps_its_artifact_beside_those_of_others() -> None:
    trail = SelectionTrail()
    trail.show("sweep", 3)
    trail.show("circuit", 4)
    assert trail.now.shown == {"sweep": 3, "circuit": 4}


def test_the_component_is_the_head_or_the_layers_mlp() -> None:
    assert Selection(layer=2, head=3).component == Head(2, 3)
    assert Selection(layer=2, head=None).component == Mlp(2)


def test_a_saved_selection_comes_back_and_an_unreadable_one_is_empty() -> None:
    selection = Selection(model=1, prompts=2, layer=3, head=None, edge=("embed", "L0H1"), shown={"sweep": 7})
    assert restored(saved(selection)) == selection
    assert restored({"layer": "three"}) == Selection()
    assert restored(None) == Selection()
