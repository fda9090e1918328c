"""Runs an optimizer on several problems as one batch, and formats its results."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxstyle import make_optimizer, minimize_batch
from jaxstyle.optimize.batch import stack_shared
from jaxstyle.optimize.records import Progress, Result
from jaxstyle.problems.problem import Problem

#: Seeds with which each rate is tried.
TUNING_SEEDS = 2

#: A mean that differs from the published figure by a smaller share than this is near it.
TOLERANCE = 0.15

#: By name, functions of parameters and args.
Scores = Mapping[str, Callable[[Any, Any], jax.Array]]


#: The result of each run, and scores by name, `[scored steps, runs]`.
Batch = tuple[list[Result], dict[str, np.ndarray]]


def follow(
    problems: Sequence[Problem],
    name: str,
    rates: Sequence[float],
    *,
    num_steps: int,
    score_at: Sequence[int] = (),
    scores: Scores | None = None,
    first_key: int = 0,
) -> Batch:
    """Runs an optimizer on all problems as one batch, and scores the parameters after the steps in `score_at`.

    A run that has ended early keeps the score of its last parameters.
    """
    _, axes = stack_shared([problem.args for problem in problems])
    args, _ = stack_shared([problem.args for problem in problems], axes)
    measures = {key: jax.jit(jax.vmap(function, in_axes=(0, axes))) for key, function in (scores or {}).items()}
    found: dict[str, list[np.ndarray]] = {key: [] for key in measures}

    def score(progress: Progress) -> None:
        if progress.step in score_at:
            for key, measure in measures.items():
                found[key].append(np.asarray(measure(progress.state.params, args)))

    keys = [jax.random.key(first_key + index) for index in range(len(problems))]
    results = minimize_batch(
        problems,
        [make_optimizer(name, traced=["learning_rate"], learning_rate=rate) for rate in rates],
        keys=keys,
        num_steps=num_steps,
        report_at=score_at,
        callback=score,
    )
    return results, {key: np.stack(values) for key, values in found.items() if values}


def spread(values: Any, digits: int = 3) -> str:
    """Returns the mean and the range, such as `0.41 [0.40, 0.43]`."""
    values = np.asarray(values, float)
    return f"{values.mean():.{digits}g} [{values.min():.{digits}g}, {values.max():.{digits}g}]"


def agree(values: Any, published: float) -> str:
    """Returns whether a published figure is inside the range of what was measured, or else near its mean."""
    values = np.asarray(values, float)
    if values.min() <= published <= values.max():
        return "reproduced"
    off = values.mean() / published - 1
    return f"{'near' if abs(off) < TOLERANCE else 'differs'}: {100 * off:+.0f} %"


def tune_and_score(
    make: Callable[..., Problem],
    name: str,
    rates: Sequence[float],
    seeds: int,
    *,
    num_steps: int,
    every: int,
    scores: Scores,
    judge: Callable[[np.ndarray], np.ndarray],
) -> tuple[float, str, dict[str, np.ndarray]]:
    """Chooses a rate on the data of seed 0 and runs it on those of seed 1.

    Returns the rate, the score of each rate in words, and the scores of the runs, `[scored steps, runs]` by name.

    Args:
        make: `make(seed=)` returns the problem.
        name: Name of the optimizer.
        rates: The rates to choose from.
        seeds: Number of runs that are scored.
        num_steps: Steps of each run.
        every: Steps between two scores.
        scores: By name; the first one chooses the rate.
        judge: From the scores by which the rate is chosen, `[scored steps, runs]`, to the score of each run.
    """
    score_at = range(every, num_steps + 1, every)
    chooser = next(iter(scores))
    lanes = [rate for rate in rates for _ in range(TUNING_SEEDS)]
    results, tuned = follow(
        [make(seed=0)] * len(lanes),
        name,
        lanes,
        num_steps=num_steps,
        score_at=score_at,
        scores={chooser: scores[chooser]},
        first_key=1000,
    )
    shape = (len(rates), TUNING_SEEDS)
    judged = judge(tuned[chooser]).reshape(shape).mean(axis=1)
    failed = np.reshape([result.status.has_failed for result in results], shape).any(axis=1)
    judged = np.where(failed | np.isnan(judged), np.inf, judged)
    rate = rates[int(judged.argmin())]
    words = ", ".join(f"{rate:g}: {error:.3g}" for rate, error in zip(rates, judged, strict=True))
    _, found = follow(
        [make(seed=1)] * seeds, name, [rate] * seeds, num_steps=num_steps, score_at=score_at, scores=scores
    )
    return rate, words, found
