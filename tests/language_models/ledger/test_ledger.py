"""The rules of the ledger, the same in an SQLite file and in a PostgreSQL database."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace

import pytest

from language_models.ledger import Asked, Batch, Call, Granted, Ledger, Totals, Verdict
from schemas.errors import StoreError
from tests.language_models.ledger.workers import make_answer, make_call
from tests.support.prompts import make_prompt


@pytest.fixture
def ledger(place):
    with Ledger(place, "2026-01-01") as ledger:
        yield ledger


@pytest.fixture
def another(place):
    """Another worker on the same ledger, alive."""
    with Ledger(place, "2026-01-02") as ledger:
        yield ledger


def answer(ledger, *keys, usd=0.25):
    ledger.lease([make_call(key) for key in keys])
    ledger.respond([make_answer(key, usd) for key in keys])


def batch(id="batch", **about):
    return replace(Batch(id, "uploaded", "https://endpoint", "model", "rlmrec.item", "2026-01-01", 99), **about)


# ---- the way of a call


def test_a_call_is_settled_when_its_answer_is_read(ledger):
    assert ledger.lease([make_call(key) for key in "abcd"]) == Granted(taken=["a", "b", "c", "d"])
    ledger.respond([make_answer(key) for key in "abc"])
    ledger.settle([Verdict("a", "parsed"), Verdict("b", "rejected", "schema")])
    assert ledger.settled("abcdx") == {"a": "parsed", "b": "rejected"}
    ledger.publish("abcd", 7)
    assert ledger.settled("abcd") == {"a": "published", "b": "rejected"}


def test_answers_come_back_as_they_came_oldest_first(ledger):
    ledger.lease([make_call("a"), make_call("b")])
    first, second = make_answer("a", text="cut o", reason="length"), make_answer("a", text="whole", turn=1)
    ledger.respond([first])
    ledger.lease([make_call("a", turn=1)])
    ledger.respond([second])
    assert ledger.answers(["a", "b", "never"]) == {"a": [first, second]}


def test_a_failed_call_costs_nothing_and_is_asked_again(ledger):
    ledger.lease([make_call("a")])
    failed = make_answer("a", 0.0, "error:server", "503 upstream")
    ledger.respond([failed])
    assert ledger.totals() == Totals()
    assert (ledger.settled("a"), ledger.answers("a"), ledger.failures("a")) == ({}, {}, {"a": failed})
    assert ledger.lease([make_call("a")]).taken == ["a"]
    assert ledger.failures("a") == {}, "it is being asked again"
    ledger.respond([make_answer("a")])
    assert ledger.failures("a") == {}


def test_a_call_that_got_lost_too_often_is_failed_without_another_lease(ledger):
    ledger.lease([make_call("a")])
    ledger.respond([make_answer("a", 0.0, "unknown:timeout")])
    ledger.respond([make_answer("a", 0.0, "error:timeout")])
    assert ledger.failures("a")["a"].finish_reason == "error:timeout"
    assert ledger.totals() == Totals(possible_usd=0.5, unknown=1)


def test_a_failed_follow_up_leaves_the_answer_before_and_is_not_settled(ledger):
    answer(ledger, "a")
    ledger.lease([make_call("a", turn=1)])
    ledger.respond([make_answer("a", 0.0, "error:server", turn=1)])
    assert (len(ledger.answers("a")["a"]), ledger.settled("a"), ledger.failures("a")) == (1, {}, {})
    assert ledger.lease([make_call("a", turn=1)]).taken == ["a"]


def test_an_unknown_call_may_have_been_paid_and_may_be_asked_again(ledger):
    ledger.lease([make_call("a", 0.5)])
    ledger.respond([make_answer("a", 0.0, "unknown:timeout")])
    assert ledger.totals() == Totals(possible_usd=0.5, unknown=1)
    assert (ledger.answers("a"), ledger.failures("a"), ledger.settled("a")) == ({}, {}, {})
    assert ledger.lease([make_call("a")]).taken == ["a"]


def test_a_turn_is_leased_when_the_one_before_is_answered(ledger):
    answer(ledger, "a")
    assert ledger.lease([make_call("a")]).answered == ["a"]
    with pytest.raises(StoreError, match="call a: expected the answer before turn 2, found 1"):
        ledger.lease([make_call("a", turn=2)])
    assert ledger.lease([make_call("a", turn=1)]).taken == ["a"]


def test_a_follow_up_of_a_rejected_call_can_be_asked_and_of_a_published_one_not(ledger):
    answer(ledger, "a", "b")
    ledger.settle([Verdict("a", "rejected", "truncated"), Verdict("b", "parsed")])
    ledger.publish("b", 1)
    assert ledger.lease([make_call("a", turn=1), make_call("b", turn=1)]) == Granted(taken=["a"], answered=["b"])


def test_an_answer_needs_a_lease_and_a_group_is_kept_whole_or_not_at_all(ledger):
    ledger.lease([make_call("a")])
    with pytest.raises(StoreError, match="call never: expected a lease before its answer"):
        ledger.respond([make_answer("a"), make_answer("never")])
    assert ledger.answers("a") == {}
    assert ledger.totals() == Totals(reserved_usd=0.5)


def test_a_changed_parser_changes_the_verdict_and_a_published_call_stays_so_unless_rejected(ledger):
    answer(ledger, "a", "b", "c")
    ledger.settle([Verdict("a", "rejected", "schema"), Verdict("b", "parsed"), Verdict("c", "parsed")])
    ledger.publish("bc", 1)
    ledger.settle([Verdict("a", "parsed"), Verdict("b", "parsed"), Verdict("c", "rejected", "schema")])
    assert ledger.settled("abc") == {"a": "parsed", "b": "published", "c": "rejected"}


def test_a_verdict_needs_a_paid_answer_and_waits_while_a_follow_up_is_leased(ledger):
    ledger.lease([make_call("a")])
    for key in ("a", "never"):
        with pytest.raises(StoreError, match=f"call {key}: expected a paid answer to judge"):
            ledger.settle([Verdict(key, "parsed")])
    ledger.respond([make_answer("a")])
    ledger.lease([make_call("a", turn=1)])
    ledger.settle([Verdict("a", "parsed")])
    assert ledger.settled("a") == {}


def test_more_keys_than_fit_in_one_query_are_looked_up(ledger):
    keys = [f"k{number}" for number in range(1200)]
    answer(ledger, *keys)
    ledger.settle(Verdict(key, "parsed") for key in keys)
    assert len(ledger.settled(f"k{number}" for number in range(2400))) == 1200
    assert list(ledger.answers(keys)) == keys
    ledger.publish(keys, 3)
    assert set(ledger.settled(keys).values()) == {"published"}


@pytest.mark.parametrize("text", ["nul \0 byte", "half \ud83d pair", "whole \N{GRINNING FACE} pair", "", "'; --%s?"])
def test_any_text_that_a_model_can_send_is_kept(ledger, text):
    ledger.lease([make_call("a")])
    ledger.respond([make_answer("a", text=text)])
    assert ledger.answers("a")["a"][0].text == text.replace("\0", "\ufffd").replace("\ud83d", "\ufffd")


# ---- who has it


def test_what_became_of_every_call_is_said(ledger, another):
    answer(ledger, "answered")
    another.lease([make_call("held")])
    granted = ledger.lease([make_call(key, 1.0) for key in ("a", "held", "b", "answered", "c", "a")], cap_usd=1.5)
    assert granted == Granted(taken=["a"], answered=["answered"], held=["held", "a"], refused=["b", "c"])


def test_an_answer_that_comes_after_its_lease_was_lost_is_kept_and_counted(ledger, another):
    ledger.lease([make_call("a", 0.5)])
    ledger.release("a")
    another.lease([make_call("a", 0.5)])
    ledger.respond([make_answer("a", 0.25)])
    assert ledger.totals() == Totals(spent_usd=0.25), "the money of who sent it"
    assert another.totals() == Totals(reserved_usd=0.5), "the other's request is still out"
    another.respond([make_answer("a", 0.125)])
    assert another.totals() == Totals(spent_usd=0.125)
    assert [one.cost_usd for one in ledger.answers("a")["a"]] == [0.25, 0.125]


def test_a_late_answer_to_a_call_that_nobody_has_leased_makes_it_answered(ledger):
    ledger.lease([make_call("a")])
    ledger.abandon("a")
    ledger.respond([make_answer("a")])
    assert ledger.totals() == Totals(spent_usd=0.25, possible_usd=0.5, unknown=1)
    assert ledger.lease([make_call("a")]).answered == ["a"]


def test_a_late_answer_to_a_call_that_failed_makes_it_answered(ledger):
    ledger.lease([make_call("a")])
    ledger.respond([make_answer("a", 0.0, "error:server")])
    ledger.respond([make_answer("a")])
    assert ledger.failures("a") == {}
    ledger.settle([Verdict("a", "parsed")])
    assert ledger.settled("a") == {"a": "parsed"}


def test_a_late_answer_to_a_call_that_is_settled_changes_nothing_but_the_money(ledger):
    answer(ledger, "a", "b")
    ledger.settle([Verdict("a", "parsed"), Verdict("b", "rejected", "schema")])
    ledger.respond([make_answer("a"), make_answer("b")])
    assert ledger.settled("ab") == {"a": "parsed", "b": "rejected"}
    assert ledger.totals() == Totals(spent_usd=1.0)


def test_a_claim_is_one_workers_as_long_as_it_lives(ledger, place):
    with Ledger(place) as other:
        assert [ledger.claim("batch 1"), ledger.claim("batch 1")] == [True, True]
        assert [other.claim("batch 1"), other.claim("batch 2")] == [False, True]
        assert not ledger.claim("batch 2")
    assert ledger.claim("batch 2")


def test_leases_of_another_living_worker_cannot_be_ended(ledger, another):
    another.lease([make_call("a")])
    ledger.release("a")
    ledger.abandon("a")
    assert ledger.adopt("a") == []
    assert another.totals() == Totals(reserved_usd=0.5)
    assert (ledger.lease([make_call("a")]).held, ledger.orphans()) == (["a"], [])


def test_leases_of_a_worker_that_closed_are_orphaned_with_their_prompts_as_sent(ledger, place):
    follow_up = replace(make_prompt("a"), turn=1, correction="summarization: empty", room=2)
    sent = replace(make_call("a"), prompt=follow_up)
    with Ledger(place) as gone:
        answer(gone, "a")
        gone.lease([sent])
    assert ledger.lease([sent]) == Granted(orphaned=["a"])
    (orphan,) = ledger.orphans()
    assert orphan == sent
    assert orphan.prompt.messages() == sent.prompt.messages()


def test_an_orphan_is_adopted_by_one_worker_and_settled_by_the_answer_that_is_found(ledger, another, place):
    with Ledger(place, "2026-01-03") as gone:
        gone.lease([make_call("a"), make_call("b")])
    assert sorted(ledger.adopt(["a", "b"])) == ["a", "b"]
    assert (another.adopt(["a", "b"]), another.orphans()) == ([], [])
    ledger.respond([make_answer("a")])
    ledger.abandon("b")
    with Ledger(place, "2026-01-03") as night:
        assert night.totals() == Totals(spent_usd=0.25, possible_usd=0.5, unknown=1), "the night that reserved"
    assert another.lease([make_call("a"), make_call("b")]) == Granted(taken=["b"], answered=["a"])


def test_the_prompts_of_leases_come_back_in_the_order_of_their_planning(ledger):
    calls = [make_call(key) for key in "cab"]
    ledger.lease(calls)
    assert ledger.leased_by(ledger.worker) == calls == ledger.calls("abc")
    assert ledger.leased_by("nobody") == []


# ---- money


def test_the_cap_counts_what_is_spent_possibly_spent_and_reserved(ledger):
    assert ledger.lease([make_call(key, 1.0) for key in "abc"], cap_usd=2.5).taken == ["a", "b"]
    ledger.respond([make_answer("a", 0.25)])
    assert ledger.lease([make_call("c", 1.0), make_call("d", 1.0)], cap_usd=2.5).taken == ["c"]
    ledger.respond([make_answer("b", 0.0, "unknown:reset")])
    ledger.release("c")
    assert ledger.totals() == Totals(spent_usd=0.25, possible_usd=1.0, unknown=1)
    assert ledger.lease([make_call(key, 1.0) for key in "cd"], cap_usd=2.5).refused == ["d"]


def test_a_refused_call_holds_back_all_after_it_even_cheaper_ones(ledger):
    calls = [make_call("dear", 2.0), make_call("cheap", 0.1)]
    assert ledger.lease(calls, cap_usd=1.0) == Granted(refused=["dear", "cheap"])
    assert ledger.lease(calls, cap_usd=3.0) == Granted(taken=["dear", "cheap"])


def test_a_cap_is_used_to_the_last_cent(ledger):
    tenths = [make_call(str(number), 0.1) for number in range(11)]
    assert len(ledger.lease(tenths, cap_usd=1.0).taken) == 10
    ledger.respond([make_answer(str(number), 0.1) for number in range(10)])
    assert ledger.totals() == Totals(spent_usd=1.0)


def test_each_night_has_its_own_money_and_shares_the_answers(ledger, another):
    answer(ledger, "a")
    assert (ledger.totals(), another.totals()) == (Totals(spent_usd=0.25), Totals())
    assert "a" in another.answers("a")


def test_estimated_and_counted_tokens_are_summed_over_first_answers(ledger):
    assert ledger.calibration("model", "rlmrec.item") is None
    answer(ledger, "a", "b")
    ledger.lease([make_call("a", turn=1)])
    ledger.respond([make_answer("a", turn=1)])
    assert ledger.calibration("model", "rlmrec.item") == (20, 24)
    assert ledger.calibration("model", "kar.user") is None


# ---- what is remembered


def test_the_latest_answered_call_about_a_subject_is_found(ledger):
    def about(key, text):
        return Call(key, make_prompt("7", text), "engine", "model", 0.1, 0, "https://endpoint")

    ledger.lease([about("old", "first"), about("new", "second"), about("unanswered", "third")])
    ledger.respond([make_answer("old")])
    ledger.respond([make_answer("new")])
    found = ledger.last_asked("rlmrec.item", "item", ["7", "8"])
    digest = hashlib.sha256(b"second").hexdigest()
    assert found == {"7": Asked("7", "new", "1", "engine", "model", "https://endpoint", digest, found["7"].instruction)}
    assert ledger.last_asked("rlmrec.item", "user", ["7"]) == {}


def test_another_instruction_has_another_digest(ledger):
    for key, system in (("a", "Describe."), ("b", "Describe it.")):
        prompt = replace(make_prompt(key), system=system)
        ledger.lease([replace(make_call(key), prompt=prompt)])
    answer(ledger, "c")
    ledger.respond([make_answer("a"), make_answer("b")])
    assert len({one.instruction for one in ledger.last_asked("rlmrec.item", "item", "abc").values()}) == 3


def test_small_facts_are_remembered(place):
    with Ledger(place) as ledger:
        assert ledger.recall("format") is None
        ledger.remember("format", "json_schema")
        ledger.remember("format", "text")
    with Ledger(place) as ledger:
        assert ledger.recall("format") == "text"


def test_no_rule_looks_at_the_clock(place):
    hours = iter([7200.0, 3600.0, 0.0, -3600.0])
    with Ledger(place, clock=lambda: next(hours)) as ledger:
        answer(ledger, "a")
        ledger.lease([make_call("a", turn=1), make_call("b")])
        ledger.respond([make_answer("a", turn=1, text="later"), make_answer("b")])
        assert [one.text for one in ledger.answers("a")["a"]] == ["text", "later"]
        assert ledger.last_asked("rlmrec.item", "item", "a")["a"].key == "a"


# ---- batches


def test_a_batch_holds_its_calls_until_it_has_landed(ledger, another):
    answer(ledger, "done")
    calls = [make_call("a"), make_call("done"), make_call("b", 9.0)]
    granted = ledger.lease_for_batch(batch(), calls, cap_usd=2.0)
    assert granted == Granted(taken=["a"], answered=["done"], refused=["b"])
    assert ledger.batches() == [batch(state="intended", calls=1)]
    assert another.lease([make_call("a")]) == Granted(held=["a"])
    assert another.orphans() == []
    ledger.save_batch(batch(state="landed", calls=1, detail="expired"))
    assert (another.batches(), another.batches(open_only=False)) == (
        [],
        [batch(state="landed", calls=1, detail="expired")],
    )
    assert another.lease([make_call("a")]) == Granted(orphaned=["a"])
    assert another.orphans() == ledger.leased_by("batch") == [make_call("a")]


def test_a_batch_that_gets_no_call_does_not_exist(ledger):
    answer(ledger, "a")
    ledger.lease_for_batch(batch(), [make_call("a")])
    assert ledger.batches(open_only=False) == []


def test_a_batch_that_was_never_submitted_gives_its_calls_back(ledger):
    ledger.lease_for_batch(batch(), [make_call("a"), make_call("b")])
    ledger.drop_batch("batch")
    assert (ledger.batches(), ledger.totals()) == ([], Totals())
    assert ledger.lease([make_call("a"), make_call("b")]).taken == ["a", "b"]


def test_a_batch_is_recorded_step_by_step(ledger):
    ledger.lease_for_batch(batch(), [make_call("a")])
    submitted = batch(state="submitted", calls=1, file_id="file-1", provider_id="batch_1", submitted_at=1.5e9)
    ledger.save_batch(submitted)
    assert ledger.batches() == [submitted]
    with pytest.raises(StoreError, match="batch other: not found"):
        ledger.save_batch(batch("other"))
    with pytest.raises(StoreError, match="batch"):
        ledger.lease_for_batch(batch(), [make_call("b")])
    assert ledger.totals() == Totals(reserved_usd=0.5), "the second intent left nothing"


def test_landing_a_batch_twice_counts_its_answers_once(ledger, another):
    ledger.lease_for_batch(batch(), [make_call("a"), make_call("b")])
    assert another.land("batch", [make_answer("a")]) == 1
    assert ledger.land("batch", [make_answer("a"), make_answer("b")]) == 1
    assert ledger.totals() == Totals(spent_usd=0.5)


# ---- transactions


def test_a_transaction_is_kept_whole_or_not_at_all(ledger):
    def break_off():
        with ledger.transaction():
            ledger.lease([make_call("a")])
            with ledger.transaction():
                ledger.respond([make_answer("a")])
            assert "a" in ledger.answers("a"), "it reads what it wrote"
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert (ledger.totals(), ledger.calls("a")) == (Totals(), [])
    answer(ledger, "a")  # with the template that was rolled back
    assert len(ledger.calls("a")) == 1


def test_an_error_that_is_swallowed_within_a_transaction_still_ends_it(ledger):
    def swallow():
        with ledger.transaction():
            ledger.lease([make_call("a")])
            with pytest.raises(StoreError):
                ledger.respond([make_answer("never")])

    with pytest.raises(StoreError, match="a part of the transaction failed"):
        swallow()
    assert ledger.totals() == Totals()


def test_reading_does_not_wait_for_a_commit_and_sees_only_what_is_committed(ledger):
    seen = []
    with ledger.transaction():
        answer(ledger, "a")
        reader = threading.Thread(target=lambda: seen.append(ledger.answers("a")))
        reader.start()
        reader.join(10)
    assert seen == [{}]
    assert "a" in ledger.answers("a")


def test_many_threads_may_use_one_ledger(ledger):
    def work(number):
        answer(ledger, *(f"{number}-{more}" for more in range(20)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.totals() == Totals(spent_usd=40.0)


def test_a_closed_ledger_says_so(place):
    ledger = Ledger(place)
    ledger.close()
    for use in (ledger.totals, lambda: ledger.lease([make_call("a")])):
        with pytest.raises(StoreError, match="open it again"):
            use()
