"""What each paper's examples say, on a small world whose answers can be told."""

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from features.instructions.drawing import drawn, shares
from features.instructions.grid import CELLS
from features.instructions.histories import retrieved
from features.instructions.wording import LETTERS
from schemas.errors import ConfigError
from tests.support.instruction_world import EVENTS, ITEMS, USERS, built, sources

NEXT = USERS * (EVENTS - 1)  # interactions with something before them


def said(rows: pl.DataFrame) -> list[tuple[dict, str, str, str]]:
    """Each row with its system, user and assistant text."""
    return [(row, *(each["content"] for each in row["messages"])) for row in rows.iter_rows(named=True)]


def test_tallrec_without_ratings_asks_for_a_negative_beside_every_like() -> None:
    read = sources()
    rows = built("tallrec", read, negatives=2)
    assert rows["label"].value_counts().sort("label").rows() == [(0.0, 2 * NEXT), (1.0, NEXT)]
    train = read.corpus.train.by_user
    for row, _, user, _ in said(rows):
        item = read.corpus.ids("item").index_of(row["item_id"])
        assert user.endswith(f'Will the user like "{read.titles[item]}"?')
        assert bool(train[int(row["user_id"][1:]), item]) == (row["label"] == 1.0)
        assert "Disliked" not in user
        assert row["source_ids"] == [read.corpus.items["id"][read.titles.index(t)] for t in quoted_titles(user)[1:-1]]


def quoted_titles(text: str) -> list[str]:
    return re.findall(r'"([^"]+)"', text)


def test_ratings_decide_likes_and_no_negative_is_drawn() -> None:
    read = sources(ratings=True, profile=())
    rows = built("tallrec", read, liked_above=3.0)
    assert rows.height == NEXT
    line = read.timeline
    for place, (row, _, user, answer) in zip(line.continued.tolist(), said(rows), strict=True):
        assert answer == ("Yes" if line.rating[place] > 3 else "No")
        before = read.before(place)
        disliked = [read.titles[line.item[p]] for p in before if line.rating[p] <= 3]
        assert row["source_ids"] == [read.corpus.items["id"][int(line.item[p])] for p in before]
        assert (f"Disliked: {'; '.join(map(quoted, disliked))}\n" in user) == bool(disliked)


def quoted(title: str) -> str:
    return f'"{title}"'


def test_an_interaction_without_rating_is_a_like_also_where_ratings_decide() -> None:
    rows = built("tallrec", sources(), liked_above=3.0)
    assert rows["label"].value_counts().sort("label").rows() == [(0.0, NEXT), (1.0, NEXT)]


def test_rella_shows_the_nearest_and_the_latest_of_the_same_example() -> None:
    read = sources(ratings=True)
    rows = built("rella", read, liked_above=3.0)
    assert rows["template"].value_counts().sort("template").rows() == [("recent", NEXT), ("retrieved", NEXT)]
    line = read.timeline
    ids = read.corpus.ids("item")
    for view, group in rows.group_by("template"):
        for place, (row, _, user, _) in zip(line.continued.tolist(), said(group), strict=True):
            past = line.item[line.start[place] : place]
            expected = retrieved(past, int(line.item[place]), read.vectors, 4)
            expected = expected if view == ("retrieved",) else past[-4:].tolist()
            assert row["source_ids"] == ids.gather(expected).to_list()
            assert user.count(" (") == len(expected), "a rating behind every title"
    views = [rows.filter(pl.col("template") == view)["item_id"].to_list() for view in ("retrieved", "recent")]
    assert views[0] == views[1]
    assert built("rella", read, mixed=False)["template"].unique().to_list() == ["retrieved"]


def test_both_views_of_a_negative_ask_about_the_same_item() -> None:
    rows = built("rella", sources())
    views = [rows.filter(pl.col("template") == view)["item_id"].to_list() for view in ("retrieved", "recent")]
    assert views[0] == views[1]


@pytest.mark.parametrize("name", ["llamarec", "llara", "s_dpo"])
def test_the_answer_is_one_of_the_candidates_at_any_place(name) -> None:
    read = sources(profile=())
    places = []
    for row, _, user, answer in said(built(name, read, candidates=5)):
        offered = quoted_titles(user.split("Candidates:")[1])
        assert len(set(offered)) == 5
        title = read.titles[read.corpus.ids("item").index_of(row["item_id"])]
        assert (offered[LETTERS.index(answer)] if name == "llamarec" else answer) == title
        own = read.corpus.train.by_user[int(row["user_id"][1:])].indices
        assert not {read.titles[item] for item in own} & set(offered) - {title}
        assert set(row["rejected"]) <= set(offered) - {title}
        assert len(set(row["rejected"])) == (3 if name == "s_dpo" else 0)
        places.append(offered.index(title))
    assert len(places) == NEXT
    assert set(places) == set(range(5))


def test_disliked_items_are_no_answers() -> None:
    read = sources(ratings=True)
    kept = [place for place in read.timeline.continued.tolist() if read.timeline.rating[place] > 3]
    rows = built("bigrec", read, liked_above=3.0)
    assert rows.height == len(kept) < NEXT
    assert [answer for *_, answer in said(rows)] == [read.titles[read.timeline.item[place]] for place in kept]


def test_instructrec_fills_all_cells_evenly_and_marks_search() -> None:
    read = sources()
    rows = pl.concat([built("instructrec", read, seed=seed) for seed in range(40)])
    counts = rows["template"].value_counts()
    assert set(counts["template"]) == {cell.name for cell in CELLS}
    assert counts["count"].min() > 0.6 * counts["count"].mean()
    assert counts["count"].max() < 1.5 * counts["count"].mean()
    assert rows.filter(pl.col("search") == pl.col("template").str.contains("I0")).is_empty()
    for row, system, user, answer in said(rows):
        preference, intention, task = (int(each[1]) for each in row["template"].split())
        assert ("History" in user or "Liked" in user) == (preference == 1)
        assert ("About the user" in user) == (preference == 2)
        assert ("Wanted: " in user) == (intention > 0)
        assert user.count(" book like this book, for quiet") == (intention == 1)
        assert ('Wanted: category "' in user) == (intention == 2)
        assert row["task"] == ("yes_no", "pairwise", "title", "rank")[task]
        assert "looking for" in system if intention else "looking for" not in system
        offered = quoted_titles(user.split("Candidates:")[1]) if "Candidates:" in user else [answer]
        assert answer in offered


def test_an_item_that_answers_a_specific_wish_is_never_a_wrong_answer() -> None:
    read = sources()
    category = dict(read.corpus.items.select("title", "category").iter_rows())
    seen = 0
    for row, _, user, answer in said(pl.concat([built("instructrec", read, seed=seed) for seed in range(10)])):
        if "I2" in row["template"] and row["task"] != "title":
            wanted = re.search(r'category "(\w+)"', user).group(1)
            asked = quoted_titles(user.split("Candidates:")[-1])
            asked = asked[-1:] if row["task"] == "yes_no" else asked
            right = [title for title in asked if category[title] == wanted]
            assert right == ([] if answer == "No" else [answer if answer != "Yes" else asked[0]])
            seen += 1
    assert seen > 50


def test_without_texts_their_cells_are_left_out_and_the_others_stay_even() -> None:
    read = sources(profile=(), intention=())
    rows = pl.concat([built("instructrec", read, seed=seed, attributes=[]) for seed in range(20)])
    counts = dict(rows["template"].value_counts().iter_rows())
    assert set(counts) == {f"P1 I0 T{task}" for task in range(4)}
    assert max(counts.values()) < 1.2 * min(counts.values())
    with pytest.raises(ConfigError, match="attributes: categry: unknown, did you mean category"):
        built("instructrec", read, attributes=["categry"])


def test_a_profile_that_names_what_is_asked_about_is_not_shown() -> None:
    read = sources()
    read = replace(read, profile=tuple(f"liked {' and '.join(read.titles)}" for _ in range(USERS)))
    assert not any("About the user" in user for _, _, user, _ in said(built("tallrec", read)))
    assert "P2" not in " ".join(built("instructrec", read).filter(pl.col("task") != "title")["template"])
    read = replace(read, profile=tuple(f"{title}s" for title in read.titles[:USERS]))  # no whole word
    assert all("About the user" in user for _, _, user, _ in said(built("bigrec", read)))


def test_lc_rec_has_six_tasks_in_codes() -> None:
    read = sources()
    rows = built("lc_rec", read)
    counts = dict(rows["task"].value_counts().iter_rows())
    alignment = {"title_to_codes": ITEMS + 2, "codes_to_title": ITEMS + 2}
    assert counts == {"next_codes": NEXT, **alignment, "asymmetric": NEXT, "search": NEXT, "preference": USERS}
    named, codes = dict(zip(read.codes, read.titles, strict=True)), set(read.codes)
    for row, _, user, answer in said(rows):
        title = row["item_id"] and read.titles[read.corpus.ids("item").index_of(row["item_id"])]
        assert row["search"] == (row["task"] == "search")
        if answer in codes:
            assert named[answer] == title
        elif row["task"] == "preference":
            assert answer == f"reader of kind {row['user_id'][1:]}"
        else:
            assert answer == title
        if row["task"] == "search":
            assert title not in user
        shown = re.findall(r"<a_\d+><b_\d+>", user)
        if row["task"] not in ("title_to_codes", "codes_to_title") and shown:
            assert row["source_ids"] == [read.corpus.items["id"][read.codes.index(each)] for each in shown]
    asymmetric = rows.filter(pl.col("task") == "asymmetric")["template"].str.split(" ").list.first().value_counts()
    assert set(asymmetric["template"]) == {"titles", "codes"}


def test_weights_of_lc_rec_leave_tasks_out_and_decide_what_is_drawn() -> None:
    weights = [2.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    rows = built("lc_rec", sources(), examples=40, weights=weights)
    assert dict(rows["task"].value_counts().iter_rows()) == {"next_codes": 20, "title_to_codes": 10, "asymmetric": 10}
    assert "codes_to_title" not in set(built("lc_rec", sources(), weights=weights)["task"])


def test_shares_are_in_proportion_and_no_task_gives_more_than_it_has() -> None:
    one = np.ones(3)
    assert shares(np.array([100, 100, 100]), one, 10) == [4, 3, 3]
    assert shares(np.array([2, 100, 100]), one, 12) == [2, 5, 5]
    assert shares(np.array([9, 9, 9]), np.array([1.0, 0.0, 2.0]), 6) == [2, 0, 4]
    assert shares(np.array([2, 2, 2]), one, 99) == [2, 2, 2]
    plan = np.stack([np.arange(50) % 2, np.arange(50)], axis=1)
    assert drawn(plan, (), 0, 1).tolist() == plan.tolist()
    some = drawn(plan, (), 10, 1)
    assert (np.bincount(some[:, 0]).tolist(), sorted(some[:, 1])) == ([5, 5], some[:, 1].tolist())


def test_negatives_are_uniform_over_what_train_knows_and_the_user_does_not_have() -> None:
    read = sources()
    draw, own = np.random.default_rng(0), set(read.corpus.train.by_user[3].indices.tolist())
    pool = set(read.negatives.pool.tolist()) - own
    for count in (1, 40):  # by rejection, and of all that there are
        found = [item for _ in range(3000) for item in read.negatives.draw(3, count, draw)]
        assert set(found) == pool
        counts = np.bincount(found)[sorted(pool)]
        assert counts.min() > 0.6 * counts.mean()
    assert len(set(read.negatives.draw(3, 40, draw))) == len(pool)
    assert not pool & {ITEMS, ITEMS + 1}
