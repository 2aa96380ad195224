"""Colour depth and the maps from numbers to colours."""

import itertools

import pytest

from themes.colour import (
    DEPTHS,
    SEQUENTIAL_MAPS,
    contrast,
    depth_of,
    detect,
    diverging,
    ink,
    luminance,
    sequential,
    shades,
    xterm_rgb,
)


@pytest.mark.parametrize("name", SEQUENTIAL_MAPS)
@pytest.mark.parametrize("depth", ["truecolor", "256"])
def test_sequential_maps_rise_in_lightness(name, depth):
    lights = [luminance(c) for c in sequential(depth, name)]
    assert len(lights) >= 8
    assert all(a < b for a, b in itertools.pairwise(lights))


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("depth", ["truecolor", "256"])
def test_both_arms_of_the_diverging_map_are_monotone_from_the_middle(depth, dark):
    levels = diverging(depth, dark)
    assert len(levels) % 2 == 1
    middle = len(levels) // 2
    sign = 1 if dark else -1
    for arm in (levels[middle:], levels[middle::-1]):
        lights = [sign * luminance(c) for c in arm]
        assert all(a < b for a, b in itertools.pairwise(lights))


def test_the_arms_of_the_diverging_map_differ_in_blue_and_red_not_in_green_alone():
    for depth in ("truecolor", "256"):
        levels = diverging(depth)
        negative, positive = levels[1], levels[-2]
        assert negative[2] > negative[0]
        assert positive[0] > positive[2]


@pytest.mark.parametrize("depth", ["16", "none", "ascii"])
def test_without_colours_to_spare_there_are_no_levels_but_shades(depth):
    assert sequential(depth) == ()
    assert diverging(depth) == ()
    assert shades(depth)[0] == " "
    assert len(set(shades(depth))) == len(shades(depth))


def test_ascii_shades_are_ascii():
    assert shades("ascii").isascii()


def test_the_256_colours_are_those_of_the_table():
    # the cube's corners and the ends of the grey ramp, as xterm documents them
    assert xterm_rgb(16) == (0, 0, 0)
    assert xterm_rgb(231) == (255, 255, 255)
    assert xterm_rgb(196) == (255, 0, 0)
    assert xterm_rgb(21) == (0, 0, 255)
    assert xterm_rgb(232) == (8, 8, 8)
    assert xterm_rgb(255) == (238, 238, 238)


def test_contrast_of_black_and_white_is_21():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)
    assert contrast((120, 30, 9), (120, 30, 9)) == pytest.approx(1.0)


def test_numbers_written_on_any_level_can_be_read():
    for depth in ("truecolor", "256"):
        for levels in (
            *(sequential(depth, name) for name in SEQUENTIAL_MAPS),
            diverging(depth),
            diverging(depth, False),
        ):
            for level in levels:
                assert contrast(ink(level), level) >= 4.5


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"COLORTERM": "truecolor", "TERM": "xterm"}, "truecolor"),
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm"}, "16"),
        ({"TERM": "dumb"}, "ascii"),
        ({"NO_COLOR": "1", "COLORTERM": "truecolor", "LANG": "en_GB.UTF-8"}, "none"),
        ({"NO_COLOR": "1", "LANG": "C"}, "ascii"),
        ({"NO_COLOR": "", "COLORTERM": "truecolor"}, "truecolor"),  # empty means nothing, by its convention
        ({"IWB_COLOUR": "256", "COLORTERM": "truecolor"}, "256"),
        ({"IWB_COLOUR": "purple", "COLORTERM": "truecolor"}, "truecolor"),
    ],
)
def test_depth_is_read_from_the_environment(environ, expected):
    assert detect(environ) == expected


def test_a_persons_word_beats_everything():
    for depth in DEPTHS:
        assert detect({"NO_COLOR": "1", "IWB_COLOUR": "16"}, override=depth) == depth


def test_what_the_console_found_is_used():
    assert detect({"TERM": "xterm"}, console_system="256") == "256"
    assert detect({"COLORTERM": "truecolor"}, console_system="standard") == "16"


def test_an_app_is_asked_for_its_depth_then_for_no_color():
    class App:
        no_color = True

    assert depth_of(App()) == "none"
    App.colour_depth = "ascii"
    assert depth_of(App()) == "ascii"
