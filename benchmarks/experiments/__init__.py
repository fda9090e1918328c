"""Single measurements; each file begins with its command and the expected figures."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
import optax

from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.records import Progress, StopRule
from jaxstyle.problems.problem import Problem


class Curve(NamedTuple):
    """A run: parallel arrays, and the seconds of compilation, which `seconds` leaves out.

    Attributes:
        seconds: Seconds since the start.
        evaluations: Evaluations of value and gradient since the start.
        losses: The lowest losses so far.
        compile_seconds: Seconds of compilation.
    """

    seconds: np.ndarray
    evaluations: np.ndarray
    losses: np.ndarray
    compile_seconds: float = 0.0

    def first(self, target: float) -> int | None:
        """Returns the first entry whose loss is `target` or lower, or None."""
        return next((index for index, loss in enumerate(self.losses) if loss <= target), None)


def curve(
    problem: Problem,
    optimizer: optax.GradientTransformation,
    num_steps: int,
    *,
    stop: StopRule,
    targets: Sequence[float] = (),
) -> Curve:
    """Returns a run with an entry for about each half second: to its own end, or to the lowest of `targets`."""
    entries: list[tuple[float, int, float]] = []

    def record(progress: Progress) -> bool:
        entries.append((progress.run_seconds, int(progress.infos.evaluations[-1]), float(progress.state.best_loss)))
        return bool(targets) and entries[-1][2] <= min(targets)

    key = jax.random.key(0)
    result = minimize(problem, optimizer, key=key, num_steps=num_steps, chunk_seconds=0.5, stop=stop, callback=record)
    seconds, evaluations, losses = (np.array(column) for column in zip(*entries, strict=True))
    return Curve(seconds, evaluations, losses, result.compile_seconds)
