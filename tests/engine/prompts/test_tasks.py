import itertools
import re
import sys
from types import ModuleType, SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from engine.circuits.asking import MetricName
from engine.models.protocols import Tokenizer
from engine.models.sources import ZOO, read_config
from engine.models.tokenizers import read_tokenizer
from engine.prompts import tpp
from engine.prompts.reading import Reader
from engine.prompts.tasks import TASKS, available_tasks, generate
from engine.prompts.tokenized import tokenize
from engine.prompts.vocabulary import Pool, nouns_called, word_list
from sessions.artifacts import PromptRow
from sessions.errors import CallError

# As section (c) of the task definitions prints them; the answer c must follow.
PRINTED = [
    "a implies b and if b then c therefore by the transitive property a also implies",
    "if all a are b and b are c then all a are",
    "if all a are b and b is a type of c then it can be inferred that all a are a type of",
    "a implies b and if b then c therefore a also implies",
    "a implies b and if b then c therefore by the transitive property a also implies",
    "a implies b and b implies c then by the transitive property a also implies",
    "a is a type of b and all b are c therefore a is also a type of",
]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def word(row: PromptRow, name: str) -> str:
    start, stop = row.spans[name]
    return row.clean[start:stop]


def all_words() -> list[str]:
    text = " ".join(row.clean + row.corrupt for name in ("tpp", "ioi") for row in generate(name, rng(), 400))
    lists = [w for name in ("nouns", "names", "places", "objects") for w in word_list(name)]  # type: ignore[arg-type]
    return list(dict.fromkeys([*re.findall(r"\w+|[^\w\s]", text), *lists]))


@pytest.fixture
def words(word_tokenizer: type) -> Tokenizer:
    tokenizer: Tokenizer = word_tokenizer(all_words(), bos=True)
    return tokenizer


@pytest.mark.parametrize("number", range(1, 8))
def test_tpp_templates_are_as_printed(number: int) -> None:
    for row in generate("tpp", rng(number), 5, template=number):
        a, b, c = word(row, "a1"), word(row, "b1"), word(row, "c")
        assert word(row, "b2") == b
        assert word(row, "a2") == a
        assert len({a, b, c}) == 3
        printed = row.clean
        for noun, letter in ((a, "a"), (b, "b"), (c, "c")):
            printed = re.sub(rf"\b{noun}\b", letter, printed)
        assert printed == PRINTED[number - 1]
        assert row.answers == (f" {c}",)
        assert row.foils == (f" {b}",)


def test_tpp_main_variant_ends_with_a_space_and_scores_a_first_token() -> None:
    for row in generate("tpp", rng(), 20, variant="main"):
        assert row.clean.endswith(" ")
        assert row.corrupt.endswith(" ")
        assert row.answers == (word(row, "c"),)
        assert row.first_token_only


@pytest.mark.parametrize(("kind", "changed"), [("answer_swap", "c"), ("broken_link", "b2"), ("subject_swap", "a2")])
def test_tpp_corrupt_partner_changes_one_word_to_a_new_noun(kind: str, changed: str) -> None:
    for row in generate("tpp", rng(), 30, corrupt=kind):
        start, stop = row.spans[changed]
        assert row.corrupt[:start] == row.clean[:start]
        assert row.corrupt.endswith(row.clean[stop:])
        new = row.corrupt[start : len(row.corrupt) - len(row.clean[stop:])]
        assert new in word_list("nouns")
        assert new not in {word(row, name) for name in ("a1", "b1", "c")}


@pytest.mark.parametrize("order", ["ABBA", "BABA"])
def test_ioi_says_the_subject_twice_and_its_partner_no_name_twice(order: str) -> None:
    names = set(word_list("names"))
    for row in generate("ioi", rng(), 60, order=order):
        io, s = word(row, "IO"), word(row, "S1")
        assert word(row, "S2") == s
        assert (row.answers, row.foils) == ((f" {io}",), (f" {s}",))
        said = [w for w in re.findall(r"\w+", row.clean) if w in names]
        assert said == ([io, s, s] if order == "ABBA" else [s, io, s])
        other = [w for w in re.findall(r"\w+", row.corrupt) if w in names]
        assert len(set(other)) == 3
        assert not set(other) & {io, s}


@pytest.mark.parametrize("variant", ["single_token", "main"])
def test_training_and_testing_never_share_a_triple(variant: str) -> None:
    def triples(part: str, n: int) -> set[tuple[str, str, str]]:
        rows = generate("tpp", rng(), n, variant=variant, part=part, corrupt="none")
        return {(word(row, "a1"), word(row, "b1"), word(row, "c")) for row in rows}

    train, test, both = triples("train", 3000), triples("test", 500), triples("all", 3000)
    assert not train & test
    assert {tpp.part_of(*t) for t in train} == {"train"}
    assert {tpp.part_of(*t) for t in test} == {"test"}
    share = np.mean([tpp.part_of(*t) == "test" for t in both])
    assert share == pytest.approx(0.15, abs=4 * (0.15 * 0.85 / 3000) ** 0.5)  # four standard deviations


def test_the_split_is_written_down() -> None:
    # Fixed for ever: a model fine-tuned with an earlier version must find its test set untouched.
    parts = {c: tpp.part_of("cat", "dog", c) for c in ("acid", "banana", "ankle", "fish")}
    assert parts == {"acid": "test", "banana": "test", "ankle": "train", "fish": "train"}


def test_a_part_that_the_words_do_not_allow_is_refused(word_tokenizer: type) -> None:
    nouns = next(
        four
        for four in itertools.combinations(word_list("nouns")[:30], 4)
        if all(tpp.part_of(*three) == "train" for three in itertools.permutations(four, 3))
    )
    tokenizer = word_tokenizer([*re.findall(r"\w+", " ".join(tpp.TEMPLATES)), *nouns], bos=False)
    assert len(generate("tpp", rng(), 5, part="train", tokenizer=tokenizer)) == 5
    with pytest.raises(CallError, match="the 4 words this model can use make no three nouns of part test"):
        generate("tpp", rng(), 1, part="test", tokenizer=tokenizer)


def test_all_nouns_are_the_common_ones_and_others() -> None:
    common, every = nouns_called("common"), nouns_called("all")
    assert common == word_list("nouns")
    assert every[: len(common)] == common
    assert len(set(every)) == len(every) >= 1000
    assert all(w.isascii() and w.isalpha() and w.islower() for w in every)
    rows = generate("tpp", rng(), 200, nouns="all")
    assert {word(row, "c") for row in rows} - set(common)
    assert {word(row, "c") for row in generate("tpp", rng(), 200)} <= set(common)
    with pytest.raises(CallError, match="did you mean 'common'"):
        nouns_called("comon")  # type: ignore[arg-type]


def wordnet_of(lemmas: list[str] | None) -> ModuleType:
    """`nltk.corpus` as it is where nltk is installed; None: without the data."""

    def all_lemma_names(pos: str) -> list[str]:
        if lemmas is None:
            raise LookupError("a page of advice on downloading")
        return lemmas

    made = ModuleType("nltk.corpus")
    made.wordnet = SimpleNamespace(all_lemma_names=all_lemma_names)  # type: ignore[attr-defined]
    return made


def test_wordnet_gives_its_single_lower_case_words(monkeypatch: pytest.MonkeyPatch) -> None:
    nouns_called.cache_clear()
    monkeypatch.setitem(sys.modules, "nltk", ModuleType("nltk"))
    lemmas = ["zebu", "ice_cream", "Paris", "o'clock", "aardvark", "café", "zebu", *string_words(6000)]
    monkeypatch.setitem(sys.modules, "nltk.corpus", wordnet_of(lemmas))
    assert set(nouns_called("wordnet")) == {"aardvark", "zebu", *string_words(6000)}
    rows = generate("tpp", rng(), 300, nouns="wordnet")  # a list too long to be put in order for every prompt
    assert len({word(row, "c") for row in rows}) > 280
    assert all(len({word(row, "a1"), word(row, "b1"), word(row, "c")}) == 3 for row in rows)
    nouns_called.cache_clear()


def string_words(count: int) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["q" + "".join(w) for w in itertools.islice(itertools.product(letters, repeat=3), count)]


def test_wordnet_that_is_not_there_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    nouns_called.cache_clear()
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(CallError, match="nltk is not installed"):
        generate("tpp", rng(), 1, nouns="wordnet")
    monkeypatch.setitem(sys.modules, "nltk", ModuleType("nltk"))
    monkeypatch.setitem(sys.modules, "nltk.corpus", wordnet_of(None))
    with pytest.raises(CallError, match="its wordnet data are not"):
        generate("tpp", rng(), 1, nouns="wordnet")


def test_docstrings_document_three_of_six_arguments_in_order() -> None:
    for row in generate("docstring", rng(), 50):
        found = re.fullmatch(
            r'def \w+\(self, (.*)\):\n    """\w+ \w+ \w+\n\n    :param (\w+): .*\n    :param (\w+): .*\n    :param',
            row.clean,
        )
        assert found
        arguments = found[1].split(", ")
        assert len(set(arguments)) == 6
        assert [found[2], found[3]] == arguments[2:4]
        assert row.answers == (f" {arguments[4]}",)
        assert sorted(row.foils) == sorted(f" {a}" for i, a in enumerate(arguments) if i != 4)
        assert [word(row, name) for name in ("R1", "R2", "A_def", "B_def", "C_def", "R3")] == arguments
        assert [word(row, name) for name in ("A_doc", "B_doc")] == arguments[2:4]
        other = re.search(r"self, (.*)\)[^:]*:[^:]*:param (\w+):[^:]*:param (\w+):", row.corrupt)
        assert other
        new = [*other[1].split(", "), other[2], other[3]]
        assert len(set(new) | set(arguments)) == 6 + 8
        blank = row.clean
        changed = row.corrupt
        for old in set(arguments):
            blank = re.sub(rf"\b{old}\b", "_", blank)
        for name in new:
            changed = re.sub(rf"\b{name}\b", "_", changed)
        assert blank == changed


def test_docstring_prompts_are_aligned_in_gpt2_like_tokens() -> None:
    described = read_config(ZOO / "base.json")["tokenizer"]
    subwords = read_tokenizer(described, ZOO, "base")
    rows = generate("docstring", rng(), 40, tokenizer=subwords)
    batch = tokenize(rows, subwords, n_ctx=128, need_corrupt=True, need_foils=True)
    assert batch.corrupt is not None
    assert batch.all_foils is not None
    assert batch.all_foils.shape == (40, 5)
    reader = Reader(subwords, 128)
    for row in rows:
        ids = reader.clean(row, 1)
        for name, at in reader.positions(row, ids).items():
            if name != "end":
                assert subwords.token_texts(ids)[at] == f" {word(row, name)}"


def test_sets_are_spread_evenly_over_templates_and_orders() -> None:
    groups = [row.group for row in generate("tpp", rng(), 70)]
    assert {groups.count(f"template {i}") for i in range(1, 8)} == {10}
    orders = [row.group.split()[-1] for row in generate("ioi", rng(), 60)]
    assert orders.count("ABBA") == orders.count("BABA") == 30


def test_greater_than_answers_are_the_later_years() -> None:
    for row in generate("greater_than", rng(), 100):
        found = re.fullmatch(r"The \w+ lasted from the year (\d\d)(\d\d) to (\d\d)", row.clean)
        assert found
        century, year, again = found.groups()
        assert century == again
        assert 11 <= int(century) <= 17
        assert 2 <= int(year) <= 98
        assert {int(a) for a in row.answers} == {y for y in range(100) if y > int(year)}
        assert {int(f) for f in row.foils} == {y for y in range(100) if y <= int(year)}
        assert row.corrupt == row.clean.replace(century + year, century + "01", 1)


def test_greater_than_keeps_years_that_split_into_century_and_two_digits(piece_tokenizer: type) -> None:
    nouns = [f" {w}" for w in word_list("events")]
    # 17 splits as wanted, but for 1750 to 1759, which are whole tokens; other centuries have no token of their own.
    digits = [f"{y:02}" for y in range(100)]
    later = [f" 175{y}" for y in range(10)]
    tokenizer = piece_tokenizer([*nouns, "The", " lasted", " from", " the", " year", " to", " 17", *digits, *later])
    rows = generate("greater_than", rng(), 200, tokenizer=tokenizer)
    years = {word(row, "XX1") + word(row, "YY") for row in rows}
    assert "1701" not in years  # the first is dropped
    assert {year[:2] for year in years} == {"17"}
    assert not {year for year in years if year.startswith("175")}
    batch = tokenize(rows, tokenizer, n_ctx=32, need_corrupt=True, need_foils=True)
    assert batch.tokens.shape[1] == 10
    assert batch.all_answers is not None
    assert batch.all_answers.shape == (200, max(len(row.answers) for row in rows))
    assert Reader(tokenizer, 32).positions(rows[0], batch.tokens[0].tolist()) == {
        "noun": 1, "XX1": 6, "YY": 7, "XX2": 9, "end": 9,
    }  # fmt: skip


def test_induction_repeats_a_block_and_its_partner_does_not() -> None:
    for row in generate("induction", rng(), 10, length=9):
        clean, corrupt = row.clean.split(), row.corrupt.split()
        assert clean[:9] == clean[9:] == corrupt[:9]
        assert len(set(corrupt)) == 18


def test_induction_scores_what_the_repetition_determines(words: Tokenizer) -> None:
    rows = generate("induction", rng(), 4, length=5, tokenizer=words)
    batch = tokenize(rows, words, n_ctx=32, need_corrupt=True)
    assert batch.at.tolist() == [[6, 7, 8, 9]] * 4  # bos at 0, blocks at 1-5 and 6-10
    assert batch.answers.tolist() == batch.tokens[:, 2:6].tolist()


@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_the_same_seed_gives_the_same_set(task: str) -> None:
    assert generate(task, rng(3), 20) == generate(task, rng(3), 20)
    assert generate(task, rng(3), 20) != generate(task, rng(4), 20)


@pytest.mark.parametrize("options", [{}, {"corrupt": "broken_link"}, {"variant": "main"}])
def test_pairs_are_aligned_in_subword_tokens(options: dict[str, str], piece_tokenizer: type) -> None:
    # Nouns of several lengths in tokens: those before m are one token, the rest are spelled in two or more.
    pieces = [f" {w}" for w in word_list("nouns") if w < "m"] + [" m", " p", " r", "oo", "ar", "al"]
    tokenizer = piece_tokenizer(pieces)
    rows = generate("tpp", rng(), 60, tokenizer=tokenizer, **options)  # type: ignore[arg-type]
    batch = tokenize(rows, tokenizer, n_ctx=256, need_corrupt=True, need_foils=True)
    assert batch.corrupt is not None
    assert ((batch.tokens != batch.corrupt).any(1)).all()
    assert batch.foils is not None
    assert (batch.foils != batch.answers).all()
    if options.get("variant") != "main":
        assert all(w[1:] < "m" for row in rows for w in row.answers)


def test_named_positions_hold_the_named_words(words: Tokenizer) -> None:
    reader = Reader(words, 64)
    for row in generate("tpp", rng(), 20) + generate("ioi", rng(), 20):
        ids = reader.clean(row, 1)
        texts = words.token_texts(ids)
        for name, at in reader.positions(row, ids).items():
            if name == "end":
                assert at == len(ids) - 1
            elif name.endswith("+1"):
                assert texts[at - 1] == word(row, name[:-2])
            else:
                assert texts[at] == word(row, name)


def test_a_tokenizer_without_the_words_is_told_so(plain_words: Tokenizer) -> None:
    with pytest.raises(CallError, match="needs 5 different words, and words can write 0"):
        generate("ioi", rng(), 1, tokenizer=plain_words)
    with pytest.raises(CallError, match="no year as a century"):
        generate("greater_than", rng(), 1, tokenizer=plain_words)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"name": "tppp"}, "did you mean 'tpp'"),
        ({"name": "ioi", "variant": "main"}, "ioi has no 'variant'"),
        ({"name": "greater_than", "template": 2}, "greater_than has no 'template'"),
        ({"name": "tpp", "template": 8}, "from 1 to 7"),
        ({"name": "ioi", "corrupt": "answer_swap"}, "standard, abc, none"),
    ],
)
def test_what_a_task_does_not_have_is_refused(call: dict[str, object], said: str) -> None:
    with pytest.raises(CallError, match=re.escape(said)):
        generate(rng=rng(), n=1, **call)  # type: ignore[arg-type]


def test_no_corrupt_partner_on_request() -> None:
    assert {row.corrupt for task in TASKS for row in generate(task.name, rng(), 5, corrupt="none")} == {""}


def test_tasks_are_listed_with_what_can_be_chosen() -> None:
    listed = {task["name"]: task for task in available_tasks()}
    assert set(listed) >= {"tpp", "ioi", "greater_than", "induction"}
    assert len(listed["tpp"]["templates"]) == 7
    assert len(listed["ioi"]["templates"]) == 15
    assert listed["tpp"]["corrupt"] == list(tpp.CORRUPT)
    assert all(set(task["metrics"]) <= set(get_args(MetricName)) for task in listed.values())


def test_word_lists_are_long_enough_and_say_no_word_twice() -> None:
    for name, least in (("nouns", 300), ("names", 100), ("places", 8), ("objects", 8), ("events", 120)):
        listed = word_list(name)  # type: ignore[arg-type]
        assert len(set(listed)) == len(listed) >= least
        assert all(w.isalpha() for w in listed)


def test_drawn_words_differ_in_their_first_token(piece_tokenizer: type) -> None:
    tokenizer = piece_tokenizer([" ca", " do", "t", "r", "g"])
    pool = Pool(["cat", "car", "dog"], tokenizer, single=False)
    for seed in range(20):
        assert {w[:2] for w in pool.draw(rng(seed), 2)} == {"ca", "do"}
    with pytest.raises(CallError, match="2 of ours"):
        pool.draw(rng(), 3)
