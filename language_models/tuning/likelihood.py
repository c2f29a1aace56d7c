"""How likely a model finds responses: the loss of training, the logits of an answer, and candidates one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from language_models.tuning.batches import IGNORED, Example, Text, by_length, padded, require_room
from language_models.tuning.model import TunableModel
from language_models.tuning.prefixes import keys, shared_prefix, stems
from language_models.tuning.reading import Read, read
from language_models.tuning.soft_tokens import with_soft_tokens
from schemas.errors import DataError

BATCH_TOKENS = 8192  # rows times columns, what is kept of earlier passes included
CPU_TOKENS = 1024  # read at once on a CPU: more does not stay in its cache and takes longer
Soft = Sequence[Tensor | None]


def losses(
    model: TunableModel, examples: Sequence[Example], soft: Soft | None = None, train_on_prompt: bool = False
) -> tuple[Tensor, Tensor]:
    """Minus the log-probability of every response, summed over its tokens, and the numbers of tokens: both [B].

    float32 and differentiable; with `train_on_prompt` the prompt counts too. `soft`: vectors [slots, width] for the
    placeholders of each prompt. Raises DataError where a prompt or a response is empty, or both exceed the context.
    """
    for place, example in enumerate(examples):
        require_room(len(example), model.context, f"example {place}")
        if not example.prompt.ids or not example.response:
            raise DataError(f"example {place}: expected a prompt and a response of at least one token each, found none")
    batch, device = padded(examples, model.pad, "right", train_on_prompt), model.device
    row, column = (batch.labels != IGNORED).nonzero(as_tuple=True)  # [N]
    token = batch.labels[row, column].to(device)
    embeds = with_soft_tokens(model.embedding(), batch.ids.to(device), batch.slots, _given(soft, len(examples)))
    at = (row.to(device), column.to(device) - 1)
    logits, _ = model(embeds, batch.mask.to(device), batch.position.to(device), at)
    logp = logits.log_softmax(-1).gather(1, token[:, None])[:, 0]  # [N]
    total = torch.zeros(len(examples), device=device).index_add(0, at[0], -logp)
    return total, row.bincount(minlength=len(examples)).to(device)


def next_logits(
    model: TunableModel,
    prompts: Sequence[Text],
    soft: Soft | None = None,
    batch_tokens: int = BATCH_TOKENS,
    tokens: Sequence[int] | None = None,
) -> Tensor:
    """Logits [B, V], float32, of the token after each prompt; without gradients and dropout. `tokens`: only theirs.

    What all prompts begin with is read once, what some begin with (the history, before each candidate) once for those.
    Raises DataError where a prompt is empty or exceeds the context.
    """
    given = _given(soft, len(prompts))
    _require(model, prompts)
    wanted = None if tokens is None else torch.tensor(tokens, device=model.device)
    found: list[Tensor] = [torch.empty(0)] * len(prompts)
    with model.evaluating():
        for places, logits in _after_stems(model, prompts, given, batch_tokens):
            for place, row in zip(places, logits if wanted is None else logits[:, wanted], strict=True):
                found[place] = row
    return torch.stack(found)


def log_likelihoods(
    model: TunableModel,
    prompts: Sequence[Text],
    responses: Sequence[Sequence[Sequence[int]]],
    soft: Soft | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> list[Tensor]:
    """For each prompt the log-probabilities [C], summed over tokens, of its own candidate responses, float32.

    A prompt is read once for all of its candidates. Raises DataError as `next_logits` does, and for an empty response.
    """
    given = _given(soft, len(prompts))
    _require(model, prompts, responses)
    found: list[Tensor] = [torch.empty(0)] * len(prompts)
    with model.evaluating():
        root, state = _root(model, prompts, given, _longest(prompts, responses))
        rest = [prompt.part(root) for prompt in prompts]
        for places in by_length(list(map(len, rest)), batch_tokens, root, _at_once(model)):
            texts, vectors = [rest[place] for place in places], [given[place] for place in places]
            logits, kept = read(model, texts, vectors, _repeated(state, len(places)))
            own = [responses[place] for place in places]
            for place, total in zip(places, _continued(model, logits, kept, own, batch_tokens), strict=True):
                found[place] = total
    return found


def _after_stems(
    model: TunableModel, prompts: Sequence[Text], soft: Soft, batch_tokens: int
) -> Iterator[tuple[list[int], Tensor]]:
    """Places of prompts and their next logits."""
    root, state = _root(model, prompts, soft, _longest(prompts))
    found = stems(keys(prompts, soft), root) if _may_share(model, _longest(prompts)) else []
    alone = [stem.members[0] for stem in found if len(stem.members) == 1] if found else list(range(len(prompts)))
    yield from _leaves(model, prompts, soft, state, [(place, 0, root) for place in alone], batch_tokens)
    several = [stem for stem in found if len(stem.members) > 1]
    for places in by_length([stem.length - root for stem in several], batch_tokens, root, _at_once(model)):
        chosen = [several[place] for place in places]
        first = [stem.members[0] for stem in chosen]
        texts = [prompts[place].part(root, stem.length) for place, stem in zip(first, chosen, strict=True)]
        vectors = [_part(prompts[p], soft[p], root, stem.length) for p, stem in zip(first, chosen, strict=True)]
        _, kept = read(model, texts, vectors, _repeated(state, len(places)), asked="nothing")
        leaves = [(place, row, stem.length) for row, stem in enumerate(chosen) for place in stem.members]
        yield from _leaves(model, prompts, soft, kept, leaves, batch_tokens)


def _leaves(
    model: TunableModel,
    prompts: Sequence[Text],
    soft: Soft,
    state: Read | None,
    leaves: Sequence[tuple[int, int, int]],
    batch_tokens: int,
) -> Iterator[tuple[list[int], Tensor]]:
    """Prompts from a token on, each (place, row of the state, first token to read)."""
    before = 0 if state is None else state.mask.shape[1]
    lengths = [len(prompts[place]) - begin for place, _, begin in leaves]
    for batch in by_length(lengths, batch_tokens, before, _at_once(model)):
        chosen = [leaves[each] for each in batch]
        texts = [prompts[place].part(begin) for place, _, begin in chosen]
        vectors = [_part(prompts[place], soft[place], begin, None) for place, _, begin in chosen]
        rows = torch.tensor([row for _, row, _ in chosen], device=model.device)
        logits, _ = read(model, texts, vectors, None if state is None else state.rows(rows), keep=False)
        yield [place for place, _, _ in chosen], logits


def _continued(
    model: TunableModel,
    logits: Tensor,
    state: Read | None,
    responses: Sequence[Sequence[Sequence[int]]],
    batch_tokens: int,
) -> list[Tensor]:
    """Log-probabilities of the responses of every row, given the logits [B, V] of their first tokens."""
    assert state is not None, "read with keep"
    flat = [(row, tuple(response)) for row, own in enumerate(responses) for response in own]
    device = logits.device
    row = torch.tensor([row for row, _ in flat], dtype=torch.long, device=device)
    first = torch.tensor([response[0] for _, response in flat], dtype=torch.long, device=device)
    total = logits.log_softmax(-1)[row, first]  # [all candidates]
    longer = [place for place, (_, response) in enumerate(flat) if len(response) > 1]
    lengths = [len(flat[place][1]) - 1 for place in longer]
    for batch in by_length(lengths, batch_tokens, state.mask.shape[1], _at_once(model)):
        places = torch.tensor([longer[each] for each in batch], device=device)
        own = [flat[longer[each]][1] for each in batch]
        texts = [Text(response[:-1]) for response in own]
        after, _ = read(model, texts, [None] * len(own), state.rows(row[places]), asked="all", side="right", keep=False)
        token = torch.tensor([token for response in own for token in response[1:]], device=device)
        whose = places.repeat_interleave(torch.tensor([len(text) for text in texts], device=device))
        total = total.index_add(0, whose, after.log_softmax(-1).gather(1, token[:, None])[:, 0])
    return list(torch.split(total, [len(own) for own in responses]))


def _root(model: TunableModel, prompts: Sequence[Text], soft: Soft, longest: int) -> tuple[int, Read | None]:
    """Length of what all prompts begin with, and its keys and values: one row."""
    root = shared_prefix(keys(prompts, soft)) if _may_share(model, longest) else 0
    if not root:
        return 0, None
    vectors = [_part(prompts[0], soft[0], 0, root)]
    return root, read(model, [prompts[0].part(0, root)], vectors, asked="nothing")[1]


def _may_share(model: TunableModel, longest: int) -> bool:
    """Padding between a shared beginning and the rest counts as tokens in a sliding window."""
    return model.window is None or 2 * longest <= model.window


def _part(prompt: Text, vectors: Tensor | None, begin: int, end: int | None) -> Tensor | None:
    if vectors is None:
        return None
    end = len(prompt) if end is None else end
    return vectors[[row for row, slot in enumerate(prompt.slots) if begin <= slot < end]]


def _repeated(state: Read | None, rows: int) -> Read | None:
    return None if state is None else state.rows(torch.zeros(rows, dtype=torch.long, device=state.mask.device))


def _at_once(model: TunableModel) -> int | None:
    return CPU_TOKENS if model.device.type == "cpu" else None


def _given(soft: Soft | None, size: int) -> Soft:
    return [None] * size if soft is None else soft


def _longest(prompts: Sequence[Text], responses: Sequence[Sequence[Sequence[int]]] | None = None) -> int:
    after = max((len(each) for own in responses or () for each in own), default=0)
    return max(map(len, prompts), default=0) + after


def _require(
    model: TunableModel, prompts: Sequence[Text], responses: Sequence[Sequence[Sequence[int]]] | None = None
) -> None:
    for place, prompt in enumerate(prompts):
        own = responses[place] if responses is not None else ()
        if not prompt.ids or not all(own):
            raise DataError(f"prompt {place}: expected at least one token in it and in each response, found none")
        require_room(len(prompt) + max(map(len, own), default=0), model.context, f"prompt {place}")
