"""The trace of a run: its losses by evaluations, and how it ended."""

from dataclasses import dataclass, field
from math import ceil
from typing import SupportsFloat

import numpy as np

from benchmarks.records import Point

#: Ratio of the evaluations of neighboring points once they are not all recorded: times to a target are known to 4 %.
GRID_RATIO = 1.04


@dataclass
class Trace:
    """The course of a run: parallel lists with an entry for each step or, where an entry costs time, each point."""

    evaluations: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, evaluations: SupportsFloat, step: int, loss: SupportsFloat, seconds: SupportsFloat) -> None:
        """Appends an entry."""
        self.evaluations.append(float(evaluations))
        self.steps.append(int(step))
        self.losses.append(float(loss))
        self.seconds.append(float(seconds))

    def points(self, budget: float) -> tuple[Point, ...]:
        """Returns the last entry up to each mark of the grid, and the last entry within the budget.

        Entries beyond the budget, where a line search went on, are left out: they would be an advantage over methods
        that stop in time.
        """
        within = max(1, int(np.searchsorted(self.evaluations, budget, side="right")))
        evaluations = np.array(self.evaluations[:within])
        best = np.minimum.accumulate(np.where(np.isfinite(self.losses[:within]), self.losses[:within], np.inf))
        last = np.searchsorted(evaluations, grid(evaluations[-1]), side="right") - 1
        chosen = sorted({int(index) for index in last if index >= 0} | {within - 1})
        return tuple(
            Point(self.evaluations[i], self.steps[i], self.losses[i], float(best[i]), self.seconds[i]) for i in chosen
        )


@dataclass
class Outcome:
    """The outcome of a run; its fields are those of `benchmarks.records.Run` with the same names."""

    trace: Trace
    status: str
    initial: float = np.nan
    reason: str = ""
    compile_seconds: float = 0.0
    peak_bytes: int | None = None
    picture: np.ndarray | None = None


def grid(most: float) -> np.ndarray:
    """Returns the numbers of evaluations that points are recorded at, from 1 to `most`.

    >>> grid(5), int(grid(400)[-2])
    (array([1, 2, 3, 4, 5]), 378)
    """
    marks = [1.0]
    while marks[-1] < most:
        marks.append(float(ceil(max(marks[-1] + 1, marks[-1] * GRID_RATIO))))
    whole = np.array(marks, int)
    return whole[whole <= most]
