"""What the reasons of rejects mean, and what to do about each."""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """A reason in words."""

    meaning: str
    next_step: str


CORRECT_ROW = "Correct the row in the source; the next night reads it again."
READ_IT = "Read the answer below."
REASONS = {
    # rows of the source
    "empty_id": Reason("A row of the source has no id.", CORRECT_ROW),
    "bad_rating": Reason("The rating is empty or no finite number.", CORRECT_ROW),
    "bad_timestamp": Reason(
        "The time is empty, or not between 1970 and 2100.",
        "Correct the row; where many are wrong, set data.time_unit in the run file.",
    ),
    "bad_position": Reason("The position is empty or no whole number.", CORRECT_ROW),
    # no question
    "nothing_to_ask": Reason(
        "There is no text and no history to ask about.",
        "Nothing, for a user without train interactions; give an item a title or a description.",
    ),
    "not_asked": Reason(
        "No answer has come yet.",
        "Run `loregraph generate` again: the cap or a stop came first, and it goes on from there.",
    ),
    # no answer
    "missing": Reason(
        "There is no recorded answer for this one.", "Add it to the file of llm.answers, or ask a model."
    ),
    "refusal": Reason(
        "The model refused to answer.",
        "Read the prompt below; ask this recipe of another model, or in other words (recipes.prompt).",
    ),
    "content_filter": Reason(
        "The endpoint's filter held the answer back.", "Ask this recipe of another model or endpoint."
    ),
    "truncated": Reason("The answer was cut off, twice.", "Raise llm.max_output_tokens and run `generate` again."),
    # an answer that cannot be used
    "empty": Reason("The answer, or a field of it, has no text.", f"{READ_IT} Many of them: try another model."),
    "no_json": Reason(
        "There is no JSON object in the answer, and none came when asked again.",
        f"{READ_IT} Many of them: set llm.structured to json_object, or try another model.",
    ),
    "schema": Reason(
        "The JSON lacks a field, or one has another type.", f"{READ_IT} After a recipe's parser changed: `reparse`."
    ),
    "none": Reason(
        "The model says that it cannot tell.", "Often right: it knows nothing of it. Give the item more text."
    ),
    "too_long": Reason(
        "A field is far over its word limit, or the prompt does not fit its tokens.",
        f"{READ_IT} For a prompt raise the recipe's max_tokens.",
    ),
    "no_factor": Reason("No factor of the answer is one of the list.", f"{READ_IT} Compare it with recipes.options."),
    "invented": Reason("No factor is proved by a title of the history.", f"{READ_IT} The model made its evidence up."),
    "no_candidate": Reason("The answer names none of what was offered.", f"{READ_IT} Many of them: try another model."),
    "one_candidate": Reason("The same item is named as liked and disliked.", READ_IT),
    "no_verdict": Reason("The answer is neither yes nor no.", f"{READ_IT} Many of them: try another model."),
    # calls that failed
    "error:timeout": Reason("No answer came in time.", "Raise llm.timeout_s, or lower llm.concurrency; run it again."),
    "error:rate_limit": Reason(
        "The endpoint's rate limit was reached.", "Run it again later, or lower llm.concurrency."
    ),
    "error:connection": Reason("The endpoint could not be reached.", "Check llm.base_url, then run it again."),
    "error:bad_request": Reason(
        "The endpoint does not take the request.", "The detail has its words; `doctor` checks it."
    ),
    "error:no_line": Reason("The batch ended without a line for it.", "Run `generate` again: it was not paid."),
    "error:too_long": Reason("The prompt is longer than the model reads.", "Lower the recipe's max_tokens."),
}
FAILED = Reason("The call failed and was not paid.", "The detail has the endpoint's words; run it again.")
UNKNOWN = Reason(
    "The call was sent, and whether it was answered is not known: it may have been paid.",
    "Run it again; it is asked once more.",
)
OTHER = Reason("This version of Loregraph has no words for it.", "Read the detail.")


def reason_of(reason: str) -> Reason:
    """A reason in words; every reason has some."""
    if reason in REASONS:
        return REASONS[reason]
    kind = reason.partition(":")[0]
    return {"error": FAILED, "unknown": UNKNOWN}.get(kind, OTHER)
