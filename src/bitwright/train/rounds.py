"""Rounds of pruning with rewinding, as stages of a recipe: train, prune, go back to early weights, train again.

    stages = [
        {name = "early", epochs = 1},
        {name = "round", rounds = 6, epochs = 4, pruning = {name = "magnitude", density = 0.04}},
    ]

stands for round0, the dense training, and round1 to round6. Each starts from the weights of "early", and is pruned by
what the one before learned, so that an equal share of what is left goes each time: density ** (i / rounds) remains.
Optimizer and batch-norm statistics go back with the weights.

Reference: Frankle et al., "Linear Mode Connectivity and the Lottery Ticket Hypothesis", ICML 2020, for rewinding; Caron
et al., "Pruning Convolutional Neural Networks with Self-Supervision", 2020, for rounds without labels.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bitwright.errors import RecipeError

STAGE = "stage:"  # before the name of an earlier stage, where a trained network can come from a file


def write_out(stages: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The stages with all rounds written out.

    Args:
        stages: Tables of a recipe, as they were read.

    Raises:
        RecipeError: If rounds are no whole number from 1, know nothing to go back to, or do not say how to prune.
    """
    written: list[Any] = []
    for stage in stages:
        written += _rounds(stage, written) if isinstance(stage, Mapping) and "rounds" in stage else [stage]
    return written


def _rounds(stage: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> list[Any]:
    name, rounds, pruning = stage.get("name"), stage["rounds"], stage.get("pruning", {})
    where = f"stages.{name}: rounds"
    if type(rounds) is not int or rounds < 1:
        raise RecipeError(f"{where} must be a whole number from 1, found {rounds!r}")
    if "name" not in pruning or not isinstance(density := pruning.get("density"), float) or not 0 < density < 1:
        raise RecipeError(f"{where} must have a table pruning, with a name and a density between 0 and 1")
    start = stage.get("start") or (f"{STAGE}{before[-1]['name']}" if before else "")
    if not start:
        raise RecipeError(f"{where} must have weights to go back to: a stage before them, or a start")
    shared = {key: value for key, value in stage.items() if key != "rounds"} | {"start": start}
    dense = {**shared, "name": f"{name}0", "pruning": {**pruning, "density": 1.0, "end": 0.0}}
    return [dense] + [
        {
            **shared,
            "name": f"{name}{i}",
            "pruning": {**pruning, "density": round(density ** (i / rounds), 6), "by": f"{STAGE}{name}{i - 1}"},
        }
        for i in range(1, rounds + 1)
    ]
