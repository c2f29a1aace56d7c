"""A world with a rule: everybody keeps to items of one theme, and titles say the theme; and a tiny model that can read.

Only the words of history and candidate tell which of the candidates is next, so whoever finds it has read them.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_matrix
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from evaluation.protocol import testing as make_test_exam
from features.codes import ItemCodes
from features.corpus import Corpus, make_corpus
from features.instructions.titles import unique_titles
from recommenders.base import Recommender

THEMES = ("ocean", "desert", "forest", "city")
USERS, ITEMS, LENGTH = 80, 12, 7  # users; items of each theme; interactions of each user
INSTRUCTIONS = (  # words of features.instructions.wording
    "Decide from what is known of a user whether the user will like another item. Answer only Yes or No. Liked, oldest "
    "first: none Will the user like it? About the user: History Candidates: Choose the item that the user will take "
    "next among the candidates. Answer only with its title. Answer only with its letter. Name the item that the user "
    "will take next. Next item: Disliked: User: with codes title of text profile <item> <user> system user assistant"
)


def planted(chain: bool = False, named: bool = True) -> Corpus:
    """Users take items of their own theme at random. `named`: whether titles say the theme.

    With `chain` the next item is the one with the next number in the theme, so that order alone tells it.
    """
    rng = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        theme = user % len(THEMES)
        start = rng.integers(ITEMS)
        taken = (start + np.arange(LENGTH)) % ITEMS if chain else rng.permutation(ITEMS)[:LENGTH]
        for place, item in enumerate(taken):
            part = {LENGTH - 1: "test", LENGTH - 2: "valid"}.get(place, "train")
            rows.append((f"u{user:03}", f"i{theme * ITEMS + item:03}", part))
    return _corpus(rows, THEMES, named, rng)


def _corpus(rows: list[tuple[str, str, str]], themes: tuple[str, ...], named: bool, rng: np.random.Generator) -> Corpus:
    splits = pl.DataFrame(rows, schema=["user_id", "item_id", "part"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64),
        order=pl.int_range(pl.len()),
        weight=pl.lit(1.0, pl.Float32),
        split_id=pl.lit("planted"),
    )
    ids = [f"i{item:03}" for item in range(len(themes) * ITEMS)]
    words = ["".join(chr(97 + int(c)) for c in rng.integers(0, 26, 4)) for _ in ids]
    titles = [f"{themes[row // ITEMS]} {word}" if named else word for row, word in enumerate(words)]
    users = pl.DataFrame({"id": [f"u{user:03}" for user in range(USERS)]})
    return make_corpus(users, pl.DataFrame({"id": ids, "title": titles}), splits)


def half_named(corpus: Corpus) -> Corpus:
    """The same, where every other title is a word that nobody who can read the titles of `corpus` knows."""
    known = enumerate(corpus.items["title"].to_list())
    titles = [title if row % 2 else f"zz{title.split()[-1]}" for row, title in known]
    return replace(corpus, items=corpus.items.with_columns(title=pl.Series(titles)))


def theme_vectors(corpus: Corpus) -> np.ndarray:
    """A direction for each theme, and a little noise: float32 [I, 8]."""
    theme = np.arange(corpus.num_items) // ITEMS
    noise = 0.1 * np.random.default_rng(1).normal(size=(corpus.num_items, 3))
    return np.hstack([np.eye(5)[theme], noise]).astype(np.float32)


def found_first(
    recommender: Recommender, corpus: Corpus, others: int = 5, exam_seed: int = 0, among: np.ndarray | None = None
) -> float:
    """Share of users whose test item comes first among itself and `others` items of other themes.

    `among`: bool [I], the items that count as a test item; all by default.
    """
    exam, rng = make_test_exam(corpus), np.random.default_rng(exam_seed)
    mask = np.ones((corpus.num_users, corpus.num_items), dtype=bool)
    truth = exam.truth.toarray().argmax(axis=1)
    for user in exam.users:
        theme = np.arange(len(THEMES) * ITEMS) // ITEMS
        strange = np.flatnonzero(theme != truth[user] // ITEMS)
        mask[user, [truth[user], *rng.choice(strange, others, replace=False)]] = False
    users = exam.users if among is None else exam.users[among[truth[exam.users]]]
    found = recommender.recommend(users, 1, csr_matrix(mask))
    return float((found.item[:, 0] == truth[users]).mean())


def theme_codes(corpus: Corpus) -> ItemCodes:
    rows = np.arange(corpus.num_items)
    return ItemCodes(np.column_stack([rows // ITEMS, rows % ITEMS]).astype(np.int32), (len(THEMES), ITEMS), "made")


def save_reader(
    folder: Path, corpus: Corpus, hidden: int = 64, layers: int = 2, context: int = 512, seed: int = 0
) -> Path:
    """A llama with random weights that knows the words of titles and instructions, each as a token."""
    text = " ".join([*unique_titles(corpus.items), INSTRUCTIONS, *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *map(str, range(60))])
    split = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]|\n"), "removed", invert=True)
    words = sorted({word for word, _ in split.pre_tokenize_str(text)} | set('"();:,.?!<>#\n'))
    vocabulary = {word: id for id, word in enumerate(["<s>", "</s>", "<unk>", *words])}
    whole = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    whole.pre_tokenizer = split
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=whole, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_attention_heads=4,
        num_hidden_layers=layers,
        max_position_embeddings=context,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=0.1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


NOISE = "common"  # theme of the items that everybody takes


def buried() -> Corpus:
    """After each item of his theme a user takes one that everybody takes: the latest tells nothing of what is next."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        own = iter(user % len(THEMES) * ITEMS + rng.permutation(ITEMS))
        common = iter(len(THEMES) * ITEMS + rng.permutation(ITEMS))
        taken = [next(own if place % 2 == 0 else common) for place in range(7)]
        rows += [(f"u{user:03}", f"i{item:03}", "train") for item in taken]
        rows += [(f"u{user:03}", f"i{next(common):03}", "valid"), (f"u{user:03}", f"i{next(own):03}", "test")]
    return _corpus(rows, (*THEMES, NOISE), named=True, rng=rng)
