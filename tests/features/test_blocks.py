"""A night that is written in blocks: the same guarantees as in one piece, and memory that does not grow with it."""

import subprocess
import sys
import weakref
from pathlib import Path

import polars as pl
import pytest

from features.blocks import Digest
from features.store import DeltaStore
from schemas.errors import StoreError

FIRST, SECOND = "2026-01-01", "2026-01-02"


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    return DeltaStore(str(tmp_path / "lake"))


def block(begin: int, size: int = 10, value: float = 0.5) -> pl.DataFrame:
    ids = [f"u{n}" for n in range(begin, begin + size)]
    return pl.DataFrame({"id": ids, "value": [value] * size}, schema={"id": pl.String, "value": pl.Float64})


def blocks(count: int, size: int = 10):
    return [block(n * size, size) for n in range(count)]


def test_blocks_are_one_version_with_every_row(store, tmp_path):
    assert store.overwrite_blocks("lists", iter(blocks(5)), FIRST, tmp_path / "work") == (0, 50)
    assert store.overwrite_blocks("lists", iter(blocks(3)), SECOND, tmp_path / "work") == (1, 30)
    assert store.read("lists", FIRST).sort("id").equals(pl.concat(blocks(5)).sort("id"))
    assert store.partitions("lists") == [FIRST, SECOND]
    assert not list((tmp_path / "work").iterdir()), "what was kept on the way is gone"


def test_the_same_rows_in_other_blocks_and_another_order_write_nothing(store, tmp_path):
    store.overwrite_blocks("lists", iter(blocks(4)), FIRST, tmp_path)
    files = sorted((tmp_path / "lake").rglob("*"))
    again = [pl.concat(blocks(4)).reverse()[start : start + 7] for start in range(0, 40, 7)]
    assert store.overwrite_blocks("lists", iter(again), FIRST, tmp_path) == (0, 40)
    assert store.overwrite("lists", pl.concat(blocks(4)), FIRST) == 0, "nor do they in one piece"
    assert sorted((tmp_path / "lake").rglob("*")) == files


@pytest.mark.parametrize(
    "changed",
    [
        [block(0), block(10, value=0.25)],
        [block(0), block(11)],
        [block(0)],
        [block(0), block(10), block(10)],
        [each.with_columns(note=pl.lit("x")) for each in blocks(2)],
    ],
    ids=["a value", "an id", "fewer", "twice", "a column"],
)
def test_any_change_is_a_new_version(store, tmp_path, changed):
    store.overwrite_blocks("lists", iter(blocks(2)), FIRST, tmp_path)
    assert store.overwrite_blocks("lists", iter(changed), FIRST, tmp_path)[0] == 1
    assert store.read("lists", FIRST).height == sum(each.height for each in changed)
    assert store.read("lists", FIRST, version=0).height == 20


def test_a_column_left_out_is_a_change_where_it_was_filled(store, tmp_path):
    store.overwrite("lists", block(0).with_columns(note=pl.lit("x")), FIRST)
    store.overwrite("lists", block(0), SECOND)
    assert store.overwrite_blocks("lists", iter([block(0)]), SECOND, tmp_path)[0] == 1, "empty there already"
    assert store.overwrite_blocks("lists", iter([block(0)]), FIRST, tmp_path)[0] == 2
    assert store.read("lists", FIRST)["note"].to_list() == [None] * 10


def test_no_rows_are_a_night_without_rows(store, tmp_path):
    assert store.overwrite_blocks("lists", iter([block(0, 0), block(0, 0)]), FIRST, tmp_path) == (1, 0)
    assert store.exists("lists", FIRST)
    assert store.read("lists", FIRST).schema == block(0).schema


def test_a_block_that_cannot_be_made_leaves_the_version_before(store, tmp_path):
    store.overwrite_blocks("lists", iter(blocks(2)), FIRST, tmp_path / "work")
    files = sorted((tmp_path / "lake").rglob("*"))

    def failing():
        yield block(0, value=9.0)
        raise StoreError("the model is gone")

    with pytest.raises(StoreError, match="the model is gone"):
        store.overwrite_blocks("lists", failing(), FIRST, tmp_path / "work")
    assert sorted((tmp_path / "lake").rglob("*")) == files
    assert not list((tmp_path / "work").iterdir())


def test_a_wrong_type_names_the_column(store, tmp_path):
    store.overwrite("lists", block(0), FIRST)
    with pytest.raises(StoreError, match="value: expected Float64, found String"):
        store.overwrite_blocks("lists", iter([block(0).cast({"value": pl.String})]), SECOND, tmp_path)


def test_a_block_is_let_go_before_the_next_but_one_is_made(store, tmp_path):
    made: list[weakref.ref] = []
    alive = []

    def one_by_one():
        for each in range(8):
            frame = block(each * 10)
            made.append(weakref.ref(frame))
            alive.append(sum(ref() is not None for ref in made))
            yield frame
            del frame

    store.overwrite_blocks("lists", one_by_one(), FIRST, tmp_path)
    assert len(made) == 8
    assert max(alive) <= 2


def test_a_digest_does_not_depend_on_order_and_sees_every_value():
    def digest(*frames):
        made = Digest()
        for frame in frames:
            made.add(frame)
        return made

    assert digest(block(0), block(10)) == digest(block(0, 20).reverse())
    assert digest(block(0)) != digest(block(0, value=0.25))
    swapped = (
        pl.DataFrame({"id": ["a", "b"], "value": [1.0, 2.0]}),
        pl.DataFrame({"id": ["a", "b"], "value": [2.0, 1.0]}),
    )
    assert digest(swapped[0]) != digest(swapped[1])


MEMORY = """
import resource, sys
from pathlib import Path
import polars as pl
from features.store import DeltaStore

def blocks(users):
    for begin in range(0, users, 10_000):
        rows = pl.DataFrame({"n": range(begin * 20, (begin + 10_000) * 20)})
        yield rows.select(
            user_id=pl.format("user-{}", pl.col("n") // 20), rank=pl.col("n") % 20 + 1,
            item_id=pl.format("item-{}", pl.col("n") * 7919 % 10_007), score=1 / (pl.col("n") + 1),
        )

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB

home = Path(sys.argv[1])
store = DeltaStore(str(home / "lake"))
store.overwrite_blocks("lists", blocks(20_000), "2026-01-01", home)
few = peak()
version, rows = store.overwrite_blocks("lists", blocks(200_000), "2026-01-02", home)
assert (version, rows) == (1, 4_000_000)
assert store.overwrite_blocks("lists", blocks(200_000), "2026-01-02", home) == (1, rows)  # compares with what is live
print(round(peak() - few))
"""


def test_ten_times_the_users_need_about_the_same_memory(tmp_path):
    """Written from one frame, and compared with what is live in one, the same four million rows need 600 MiB."""
    run = [sys.executable, "-c", MEMORY, str(tmp_path)]
    environment = {"POLARS_MAX_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""}
    done = subprocess.run(run, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 350, f"{done.stdout} MiB more"
