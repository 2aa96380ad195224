import json
from pathlib import Path

import pytest

from engine.prompts.opening import open_prompts
from sessions.errors import CallError


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_json_and_jsonl_say_the_same(tmp_path: Path) -> None:
    objects = [
        {"clean": "a, b", "corrupt": "a, c", "answer": [" x", " y"], "foil": " z", "group": "g"},
        {"clean": "plain", "corrupt": "", "answer": " x", "foil": "", "group": ""},
    ]
    table = 'Clean,corrupt,answer,foil,group\n"a, b","a, c", x| y, z,g\nplain,, x,,\n'
    rows = open_prompts(written(tmp_path, "p.csv", table)).rows
    assert rows == open_prompts(written(tmp_path, "p.json", json.dumps(objects))).rows
    assert rows == open_prompts(written(tmp_path, "p.jsonl", "\n".join(map(json.dumps, objects)))).rows
    assert rows[0].answers == (" x", " y")
    assert rows[0].foils == (" z",)
    assert rows[1].corrupt == ""


def test_other_names_of_columns_a_byte_order_mark_and_windows_line_ends_are_understood(tmp_path: Path) -> None:
    path = written(tmp_path, "p.CSV", b"\xef\xbb\xbfprompt,answers\r\nhello,world\r\n")
    assert [(r.clean, r.answers) for r in open_prompts(path).rows] == [("hello", ("world",))]


def test_bad_csv_rows_are_named_by_line_and_good_ones_kept(tmp_path: Path) -> None:
    text = 'clean,answer,foil\ngood, x, y\n, x, y\n"two\nlines", x, y\nno answer,, y\nsame, x, x\na,b,c,d\n\nlast, x,\n'
    opened = open_prompts(written(tmp_path, "p.csv", text))
    assert [row.clean for row in opened.rows] == ["good", "two\nlines", "last"]
    assert [sentence.split(":")[0] for sentence in opened.rejected] == ["line 3", "line 6", "line 7", "line 8"]
    assert [sentence.split(": ")[1][:20] for sentence in opened.rejected] == [
        "the prompt is empty", "it has no answer", "' x' is both an answ", "it has 4 fields and ",
    ]  # fmt: skip


def test_bad_jsonl_lines_are_named(tmp_path: Path) -> None:
    lines = ['{"clean": "a", "answer": "b"}', "{broken", "[1]", '{"clean": 5, "answer": "b"}', '{"clean": "a"}']
    lines.append('{"clean": "a", "answer": [1]}')
    opened = open_prompts(written(tmp_path, "p.jsonl", "\n".join(lines)))
    assert len(opened.rows) == 1
    assert [sentence.split(":")[0] for sentence in opened.rejected] == [f"line {n}" for n in range(2, 7)]
    reasons = " ".join(opened.rejected)
    for part in ("not JSON", "a list, not an object", "'clean' is a number", "no answer", "'answer' holds a number"):
        assert part in reasons


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.csv", "", ["empty"]),
        ("p.json", "  \n", ["empty"]),
        ("p.csv", "clean,answer\n", ["no usable prompt"]),
        ("p.csv", "clean,answer\n,x\n", ["no usable prompt", "line 2", "the prompt is empty"]),
        ("p.csv", "clean,anser\na,b\n", ["no column 'answer'", "'anser', 'clean'", "is it 'anser'?"]),
        ("p.jsonl", '{"text": "a", "answer": "b"}', ["no column 'clean'", "'answer', 'text'"]),
        ("p.json", '{"clean": "a"}', ["an object, not a list"]),
        ("p.json", '[{"clean": "a"},\n oops]', ["line 2 is not JSON", ".jsonl"]),
        ("p.csv", "clean,answer\nna\u00efve,x\n".encode("latin-1"), ["not UTF-8", "0xef", "line 2"]),
        ("p.txt", "hello", ["'p.txt' ends in none of .csv"]),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, said: list[str]
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(CallError) as caught:
        open_prompts(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert all(part in message for part in said), message


def test_a_missing_file_is_named_with_the_nearest_one_beside_it(tmp_path: Path) -> None:
    written(tmp_path, "mine.csv", "clean,answer\na,b\n")
    with pytest.raises(CallError, match=r"no such file; did you mean 'mine.csv'"):
        open_prompts(tmp_path / "mien.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CallError, match="a folder"):
        open_prompts(tmp_path / "folder.csv")
