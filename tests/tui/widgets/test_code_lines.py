"""Code as coloured lines, and differences between two versions."""

import difflib

from tui.widgets.code_lines import compared, tokenised

SOURCE = 'def parity(bits):\n    """Docstring\n    over two lines."""\n    return sum(bits) % 2  # mod 2\n'


def text(lines):
    return ["".join(piece for piece, _ in line.pieces) for line in lines]


def test_the_text_is_kept_letter_by_letter_and_numbered():
    lines = tokenised(SOURCE)
    assert text(lines) == SOURCE.rstrip("\n").split("\n")
    assert [line.number for line in lines] == [1, 2, 3, 4]


def test_keywords_strings_and_comments_have_styles_of_their_own():
    first, _, third, last = tokenised(SOURCE)
    keyword = next(style for piece, style in first.pieces if piece == "def")
    string = third.pieces[0][1]
    comment = last.pieces[-1][1]
    assert len({str(keyword.color), str(string.color), str(comment.color)}) == 3


def test_without_colour_no_style_has_one():
    for line in tokenised(SOURCE, coloured=False):
        assert all(style.color is None for _, style in line.pieces)


def test_an_unknown_language_is_plain_text():
    assert text(tokenised("a := b\nc", language="no such language")) == ["a := b", "c"]


def test_a_diff_is_the_one_difflib_makes():
    old, new = SOURCE, SOURCE.replace("sum(bits)", "total").replace("Docstring", "Words")
    lines = compared(old, new)
    ours = [(x.change or " ") + t for x, t in zip(lines, text(lines), strict=True) if x.change != "@"]
    unified = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="")
    theirs = [line for line in unified if line[:2] not in ("--", "++", "@@")]
    assert ours == theirs


def test_equal_texts_have_no_differences():
    assert compared(SOURCE, SOURCE) == ()
