"""Components: written the way the field writes them, read back from every form people use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.components import Component, Embed, Head, Logits, Mlp, parse_component
from sessions.errors import CallError

numbers = st.integers(0, 999)
components: st.SearchStrategy[Component] = st.one_of(
    st.builds(Head, numbers, numbers, st.sampled_from([None, "q", "k", "v"])),
    st.builds(Mlp, numbers),
    st.just(Embed()),
    st.just(Logits()),
)


@given(components)
def test_what_is_written_is_read_back(component: Component) -> None:
    assert parse_component(str(component)) == component


@pytest.mark.parametrize(
    ("text", "component"),
    [
        ("L5H1", Head(5, 1)),
        ("l5h1", Head(5, 1)),
        ("5.1", Head(5, 1)),
        ("a5.h1", Head(5, 1)),
        ("A5.H1", Head(5, 1)),
        ("L10H11.q", Head(10, 11, "q")),
        ("5.1.v", Head(5, 1, "v")),
        ("a5.h1.k", Head(5, 1, "k")),
        (" L0H0 ", Head(0, 0)),
        ("mlp7", Mlp(7)),
        ("MLP7", Mlp(7)),
        ("m7", Mlp(7)),
        ("Embed", Embed()),
        ("LOGITS", Logits()),
    ],
)
def test_every_form_people_use_is_read(text: str, component: Component) -> None:
    assert parse_component(text) == component


@pytest.mark.parametrize(
    "text", ["", "L5", "H1", "L5H1.x", "L-1H0", "5,1", "mlp", "mlp-1", "L5H1 L5H2", "head5", "L٥H"]
)
def test_anything_else_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(CallError) as raised:
        parse_component(text)
    assert str(raised.value) == f"'{text}' is not a component; write L5H1, L5H1.q, mlp7, embed or logits"


def test_heads_sort_by_layer_then_head() -> None:
    assert sorted([Head(1, 0), Head(0, 11), Head(0, 2)]) == [Head(0, 2), Head(0, 11), Head(1, 0)]
