"""The order in which calls leave the queue."""

from math import inf

from language_models.call_queue import CallQueue
from tests.support.scripted_connection import prompt


def filled(*ids):
    queue = CallQueue()
    queue.add(prompt(id) for id in ids)
    return queue


def pop(queue, now):
    call = queue.peek(now)
    if call is not None:
        queue.pop(now)
    return call


def test_new_calls_leave_in_the_order_they_came():
    queue = filled("a", "b")
    assert [pop(queue, 0.0).prompt.id for _ in range(2)] == ["a", "b"]
    assert pop(queue, 0.0) is None
    assert not queue


def test_a_waiting_call_goes_before_new_ones_once_its_pause_is_over():
    queue = filled("a", "b", "c")
    queue.wait(pop(queue, 0.0), until=5.0)
    assert (queue.waiting, queue.fresh, queue.next_ready_at) == (1, 2, 5.0)
    assert pop(queue, 4.9).prompt.id == "b"
    assert pop(queue, 5.0).prompt.id == "a"
    assert queue.next_ready_at == inf


def test_calls_of_one_moment_leave_in_the_order_they_began_to_wait():
    queue = filled(*"abc")
    for call in [pop(queue, 0.0) for _ in range(3)]:
        queue.wait(call, until=1.0)
    assert [pop(queue, 1.0).prompt.id for _ in range(3)] == ["a", "b", "c"]


def test_clear_takes_out_all():
    queue = filled(*"abc")
    queue.wait(pop(queue, 0.0), until=1.0)
    assert sorted(call.prompt.id for call in queue.clear()) == ["a", "b", "c"]
    assert not queue
