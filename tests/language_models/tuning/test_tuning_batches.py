"""Padding, masks, positions and labels, by hand."""

import pytest

from language_models.tuning.batches import IGNORED, Example, Text, by_length, padded, shortened
from schemas.errors import DataError

END = 1
SHORT = Example(Text((5, 6), slots=(1,)), (7, END))
LONG = Example(Text((5, 6, 8), slots=(0, 2)), (9, 4, END))


def test_right_padding_keeps_the_end_token_among_the_labels_where_padding_has_the_same_id():
    batch = padded([SHORT, LONG], pad=END)
    assert batch.ids.tolist() == [[5, 6, 7, END, END, END], [5, 6, 8, 9, 4, END]]
    assert batch.mask.tolist() == [[1, 1, 1, 1, 0, 0], [1] * 6]
    assert batch.position.tolist() == [[0, 1, 2, 3, 0, 0], [0, 1, 2, 3, 4, 5]]
    assert batch.labels.tolist() == [
        [IGNORED, IGNORED, 7, END, IGNORED, IGNORED],
        [IGNORED, IGNORED, IGNORED, 9, 4, END],
    ]
    assert batch.slots == ((1,), (0, 2))


def test_left_padding_moves_positions_labels_and_placeholders():
    batch = padded([SHORT, LONG], pad=0, side="left")
    assert batch.ids.tolist() == [[0, 0, 5, 6, 7, END], [5, 6, 8, 9, 4, END]]
    assert batch.mask.tolist() == [[0, 0, 1, 1, 1, 1], [1] * 6]
    assert batch.position.tolist() == [[0, 0, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5]]
    assert batch.labels[0].tolist() == [IGNORED] * 4 + [7, END]
    assert batch.slots == ((3,), (0, 2))


def test_a_prompt_is_learned_on_request_but_for_its_first_token_and_its_placeholders():
    batch = padded([SHORT, LONG, Example(Text((5, 6)), (7,))], pad=END, train_on_prompt=True)
    assert batch.labels.tolist() == [
        [IGNORED, IGNORED, 7, END, IGNORED, IGNORED],
        [IGNORED, 6, IGNORED, 9, 4, END],
        [IGNORED, 6, 7, IGNORED, IGNORED, IGNORED],
    ]


def test_a_part_of_a_text_has_the_placeholders_that_lie_in_it():
    text = Text((5, 6, 7, 8, 9), slots=(0, 2, 4))
    assert text.part(1, 4) == Text((6, 7, 8), slots=(1,))
    assert text.part(2) == Text((7, 8, 9), slots=(0, 2))


@pytest.mark.parametrize(("room", "shown"), [(None, 9), (100, 9), (12, 9), (11, 8), (3, 0)])
def test_a_text_is_shortened_by_the_oldest_items_alone(room, shown):
    def write(count):
        return Text((1, 2, *range(20 - count, 20), 3))  # the latest items are the last numbers

    assert shortened(write, 9, room, "user 7") == write(shown)


def test_a_text_without_room_for_its_instruction_names_its_length():
    with pytest.raises(DataError, match=r"user 7: 3 tokens; the model reads at most 2"):
        shortened(lambda count: Text((1, 2, 3) * (count + 1)), 9, 2, "user 7")


def test_batches_hold_every_place_once_within_the_limit():
    lengths = [3, 50, 7, 7, 1, 20, 3]
    found = list(by_length(lengths, 21))
    assert sorted(place for batch in found for place in batch) == list(range(7))
    assert found[0] == [1]  # longer than the limit, alone
    assert all(len(batch) * max(lengths[place] for place in batch) <= 21 for batch in found[1:])
    assert list(by_length([], 21)) == []
    assert list(by_length([3, 3, 3], 27, before=10)) == [[0, 1], [2]]
    assert list(by_length([3, 3, 3], 27, before=2, at_once=6)) == [[0, 1], [2]]
