"""The settings that every click model tries: the run file's first, then the same random draws for all of them."""

from __future__ import annotations

import math
import random

from schemas.sections import Click, ClickModel, ClickTraining


def draws(settings: Click, base: ClickTraining, model: ClickModel) -> list[ClickTraining]:
    """`trials` settings: `base`, then draws of learning rate, weight decay and dropout.

    A key that the model sets itself is not searched; the draws of the others stay the same.
    """
    rng = random.Random(0)
    low, high = (math.log(rate) for rate in settings.learning_rates)
    found = [base]
    for _ in range(settings.trials - 1):
        drawn = {
            "learning_rate": float(f"{math.exp(rng.uniform(low, high)):.3g}"),
            "weight_decay": rng.choice(settings.weight_decays),
            "dropout": rng.choice(settings.dropouts),
        }
        free = {key: value for key, value in drawn.items() if key not in model.training}
        found.append(base.model_copy(update=free))
    return found
