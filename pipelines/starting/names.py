"""What columns are called in the files that people have, and which of them tell what a recommender must not know."""

from __future__ import annotations

import re
from collections.abc import Iterable

USER = (
    "user_id", "user", "customer_id", "customer", "client_id", "client", "visitor_id", "visitor", "reviewer_id",
    "reviewer", "reader_id", "reader", "member_id", "member", "account_id", "account", "buyer_id", "buyer", "person_id",
    "person", "profile_id", "listener_id", "listener", "viewer_id", "viewer", "player_id", "player", "student_id",
    "student", "author_id", "username", "user_name", "login", "uid", "email", "session_id", "session",
)  # fmt: skip
ITEM = (
    "item_id", "item", "product_id", "product", "parent_asin", "asin", "sku", "movie_id", "movie", "film_id", "film",
    "book_id", "isbn", "isbn13", "isbn10", "book", "article_id", "article", "song_id", "song", "track_id", "track",
    "artist_id", "artist", "album_id", "game_id", "game", "app_id", "app", "place_id", "place", "business_id",
    "venue_id", "venue", "poi_id", "poi", "listing_id", "hotel_id", "restaurant_id", "content_id", "video_id",
    "show_id", "anime_id", "news_id", "course_id", "job_id", "recipe_id", "offer_id", "title_id", "ean", "gtin", "upc",
    "iid", "variant_id",
)  # fmt: skip
RATING = (
    "rating", "ratings", "score", "stars", "star", "star_rating", "overall", "book_rating", "user_rating", "grade",
    "rate", "review_score", "preference", "note",
)  # fmt: skip
TIME = (
    "timestamp", "ts", "time", "datetime", "date", "event_time", "event_timestamp", "unix_review_time", "created_at",
    "ordered_at", "order_date", "purchased_at", "purchase_date", "rated_at", "read_at", "watched_at", "played_at",
    "viewed_at", "clicked_at", "visited_at", "reviewed_at", "date_added", "added_at", "unix_time", "when", "created",
    "review_date", "visit_time", "t",
)  # fmt: skip
REVIEW = ("review", "review_text", "text", "comment", "review_body", "review_content")
TITLE = (
    "title", "name", "item_name", "item_title", "product_name", "product_title", "book_title", "book_name",
    "movie_title", "film_title", "track_name", "song_name", "song_title", "game_name", "app_name", "business_name",
    "label", "headline", "designation",
)  # fmt: skip
NOUNS = (
    ("book", ("book", "isbn", "reader")),
    ("film", ("movie", "film")),
    ("song", ("song", "track", "listener")),
    ("game", ("game", "player")),
    ("place", ("place", "business", "venue", "poi", "restaurant", "hotel")),
    ("course", ("course", "student")),
    ("recipe", ("recipe",)),
    ("job", ("job",)),
    ("news article", ("news",)),
    ("app", ("app",)),
    ("product", ("product", "sku", "asin", "ean", "gtin", "upc", "article", "customer", "buyer", "order", "variant")),
)
FROM_EVENTS = re.compile(
    r"(average|avg|mean|overall)_?(rating|score|stars|note)|rating|stars|popular|sales|sold|views|likes|clicks|purchases"
    r"|best_?sell|(num|number|count|n)_?(of_)?(ratings?|reviews?|votes?)|(ratings?|reviews?|votes?)_?(count|number|num)"
)
NO_TEXT = re.compile(
    r"(^|_)(ids?|url|uri|link|image|img|photo|picture|thumbnail|cover|file|path|slug|hash|uuid)(_|$|\d)"
)


def plain(name: str) -> str:
    """A name in snake case: `userId`, `User-ID` and `user id` are `user_id`."""
    snake = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[^a-z0-9]+", "_", snake.lower()).strip("_")


def named(columns: Iterable[str], known: tuple[str, ...]) -> str | None:
    """The column whose name comes first in `known`, underscores aside."""
    there = {plain(column).replace("_", ""): column for column in reversed(list(columns))}
    return next((there[name] for each in known if (name := each.replace("_", "")) in there), None)


def noun(names: Iterable[str]) -> str | None:
    """What is recommended, as files and columns say by their names."""
    words = {word for name in names for word in plain(name).split("_")}
    words |= {word.removesuffix("s") for word in words}
    return next((noun for noun, signs in NOUNS if words.intersection(signs)), None)
