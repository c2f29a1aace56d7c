"""Likelihoods the slow way: one text at a time, no padding, nothing kept, the whole table of logits."""

import torch

from language_models.tuning.batches import Text


def words(model, *texts):
    return [Text(tuple(model.prompt(text))) for text in texts]


def plain_logits(model, ids, slots=(), vectors=None):
    """[T, V] of transformers' own forward."""
    with torch.no_grad():
        embeds = model.embedding()(torch.tensor([list(ids)]))
        if vectors is not None:
            for slot, vector in zip(slots, vectors, strict=True):
                embeds[0, slot] = vector
        return model.lm(inputs_embeds=embeds).logits[0]


def plain_log_likelihood(model, prompt, response, vectors=None):
    logits = plain_logits(model, (*prompt.ids, *response), prompt.slots, vectors)
    logp = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return sum(logp[place, token] for place, token in enumerate(response))
