"""Statistics of records: times to targets with intervals, bands, profiles and rankings. All functions are pure.

Losses of a start, that is of a problem, an instance and a seed, are normalized to

    gap(f) = (f - f*) / (f0 - f*),

with f0 the loss at the start and f* the lowest loss that any run in these records found on that problem and instance,
whatever its method, stage or seed. f* is *not* the optimum: another method or a longer budget may lower it, and then
every gap grows. A target tau is met where gap <= tau, which is the convergence test of Moré and Wild, "Benchmarking
derivative-free optimization algorithms", SIAM J. Optim. 20 (2009), eq. 2.2: f0 - f >= (1 - tau) (f0 - f*).

A run that never met a target, or that failed, has an infinite time. Medians and quantiles treat infinity as the
largest number.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from benchmarks.records import STAGES, Run

#: Targets: gaps between that of the start (1) and that of the lowest loss found (0).
TAUS = (1e-1, 1e-2, 1e-3)

#: Statuses of runs whose result cannot be relied on: their times are infinite, whichever targets they met before.
FAILED = ("diverged", "timeout", "oom", "error", "skipped")

#: Confidence level of the intervals.
CONFIDENCE = 0.95

#: Fewest runs that can separate methods: the least and the greatest of n values have the median between them with a
#: probability of 1 - 2^(1 - n), which reaches `CONFIDENCE` here.
FEWEST_RUNS = 6

#: Number of resamples of a bootstrap interval, which is also SciPy's default.
RESAMPLES = 9999

#: Seed of the resampling: a fixed one, so that the same records give the same report.
BOOTSTRAP_SEED = 0

#: Quantiles between which a band lies.
QUARTILES = (0.25, 0.75)

#: Relative difference up to which the starts of one cell count as equal, which leaves room for float32 rounding.
SAME_START = 1e-3

#: Share of the methods that must meet a target in the median for a ranking to use it. It is less than half, because
#: many optimizers of a comparison are slow, and would choose a target at which the fast ones hardly differ.
QUORUM = 0.25

#: Stages whose runs are scored; the runs of the tuning only choose settings.
SCORING = ("default", "tuned")


class Cell(NamedTuple):
    """What methods have in common where they are compared: problem, instance (its pictures or data) and seed."""

    problem: str
    instance: str
    number: int


class Yardstick(NamedTuple):
    """How losses of a cell are scored.

    Attributes:
        start: f0, the median over the methods of the cell, all of which should begin with the same loss.
        best: f*, the lowest loss that any run found on the cell's problem and instance.
    """

    start: float
    best: float

    def target(self, tau: float) -> float:
        """Returns the loss at which `tau` is met."""
        return self.best + tau * (self.start - self.best)

    def gap(self, loss: np.ndarray | float) -> np.ndarray:
        """Returns the normalized gap of losses, which is infinite where a loss is not finite.

        If no run got below the start, the gap of the start is 0 and that of any higher loss is infinite.
        """
        loss = np.asarray(loss, float)
        above, span = loss - self.best, self.start - self.best
        with np.errstate(over="ignore", invalid="ignore"):
            gaps = above / span if span > 0 else np.where(above > 0, math.inf, 0.0)
        return np.where(np.isfinite(loss) & np.isfinite(gaps), gaps, math.inf)


class Estimate(NamedTuple):
    """A median over runs with a bootstrap interval.

    Attributes:
        median: Median of the runs' values; infinite, if at least half of them are.
        low: Lower end of the interval at the level `CONFIDENCE`.
        high: Upper end of the interval.
        count: Number of runs.
        finite: Number of finite values: for times, of the runs that met the target.
    """

    median: float
    low: float
    high: float
    count: int
    finite: int

    def overlaps(self, other: "Estimate") -> bool:
        """Returns whether the two intervals share a number."""
        return self.low <= other.high and other.low <= self.high


def estimate(values: Iterable[float]) -> Estimate:
    """Returns the median of `values` and its percentile bootstrap interval.

    The ends are medians of resamples and are never interpolated between two of them, so that an infinite end stays
    infinite. The interval of a single value is [0, inf], as one value does not show a spread. Without any value, the
    median is NaN.
    """
    sorted_values = np.sort(np.asarray(list(values), float))
    count = len(sorted_values)
    if count == 0:
        return Estimate(math.nan, 0.0, math.inf, 0, 0)
    finite = int(np.isfinite(sorted_values).sum())
    median = float(np.median(sorted_values))
    if count == 1:
        return Estimate(median, 0.0, math.inf, count, finite)
    lower, upper = _middle_ranks(count)
    medians = (sorted_values[lower] + sorted_values[upper]) / 2
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, (tail, 1 - tail), method="inverted_cdf")
    return Estimate(median, float(low), float(high), count, finite)


@cache
def _middle_ranks(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the two middle ranks of each resample: the mean of the values at them is the resample's median."""
    draws = np.random.default_rng(BOOTSTRAP_SEED).integers(0, count, (RESAMPLES, count))
    draws.sort(axis=1)
    return draws[:, (count - 1) // 2], draws[:, count // 2]


def yardsticks(runs: Iterable[Run]) -> dict[Cell, Yardstick]:
    """Returns how each cell is scored, without the cells in which no run has a finite initial loss."""
    starts: dict[Cell, list[float]] = {}
    best: dict[tuple[str, str], float] = {}
    for run in runs:
        if math.isfinite(run.initial):
            starts.setdefault(cell_of(run), []).append(run.initial)
        if math.isfinite(run.best):
            place = (run.problem, run.instance)
            best[place] = min(best.get(place, math.inf), run.best)
    known = {cell: np.median(found) for cell, found in starts.items() if (cell.problem, cell.instance) in best}
    return {cell: Yardstick(float(start), best[cell.problem, cell.instance]) for cell, start in known.items()}


def cell_of(run: Run) -> Cell:
    """Returns the cell of a run."""
    return Cell(run.problem, run.instance, run.number)


def family_of(problem: str) -> str:
    """Returns the family of a problem: its name up to the first dash."""
    return problem.split("-", 1)[0]


@dataclass(frozen=True)
class Scores:
    """Runs with their yardsticks.

    Args:
        runs: All runs that ended, of every stage.
    """

    runs: tuple[Run, ...]

    @cached_property
    def yardsticks(self) -> dict[Cell, Yardstick]:
        """The yardstick of each cell. Tuning has other instances than scoring, so that they have no f* in common."""
        return yardsticks(self.runs)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The stages of `SCORING` that have runs."""
        return tuple(stage for stage in SCORING if any(run.stage == stage for run in self.runs))

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Problems with a run of any stage, in the order of their first run."""
        return tuple(dict.fromkeys(run.problem for run in self.runs))

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Methods with a run of any stage, in the order of their first run."""
        return tuple(dict.fromkeys(run.method for run in self.runs))

    @cached_property
    def _groups(self) -> dict[tuple[str, str, str], list[Run]]:
        groups: dict[tuple[str, str, str], list[Run]] = {}
        for run in self.runs:
            groups.setdefault((run.stage, run.problem, run.method), []).append(run)
        return groups

    @cached_property
    def _cells(self) -> dict[tuple[str, str], set[Cell]]:
        cells: dict[tuple[str, str], set[Cell]] = {}
        for run in self.runs:
            if run.status != "skipped":
                cells.setdefault((run.stage, run.problem), set()).add(cell_of(run))
        return cells

    def of(self, stage: str, problem: str, method: str) -> list[Run]:
        """Returns the runs of a method on a problem in a stage."""
        return self._groups.get((stage, problem, method), [])

    def ran(self, stage: str, problem: str, method: str) -> list[Run]:
        """Returns the runs that were not skipped: the row of a skipped method does not stand for a run."""
        return [run for run in self.of(stage, problem, method) if run.status != "skipped"]

    def methods_of(self, stage: str, problem: str) -> list[str]:
        """Returns the methods with a run on a problem in a stage."""
        return [method for method in self.methods if (stage, problem, method) in self._groups]

    def time(self, run: Run, tau: float, axis: str = "evaluations") -> float:
        """Returns the evaluations or seconds after which a run met a target; infinite, if it did not or failed."""
        yardstick = self.yardsticks.get(cell_of(run))
        if run.status in FAILED or yardstick is None:
            return math.inf
        target = yardstick.target(tau)
        return run.evaluations_to(target) if axis == "evaluations" else run.seconds_to(target)

    def final_gap(self, run: Run) -> float:
        """Returns the normalized gap of a run's best loss; infinite, if it failed."""
        yardstick = self.yardsticks.get(cell_of(run))
        if run.status in FAILED or yardstick is None:
            return math.inf
        return float(yardstick.gap(run.best))

    def time_to(self, stage: str, problem: str, method: str, tau: float, axis: str = "evaluations") -> Estimate:
        """Returns a method's time to a target, over all its seeds and instances."""
        return estimate(self.time(run, tau, axis) for run in self.of(stage, problem, method))

    def gap_of(self, stage: str, problem: str, method: str) -> Estimate:
        """Returns a method's final gap, over all its seeds and instances."""
        return estimate(self.final_gap(run) for run in self.of(stage, problem, method))

    def cells(self, stage: str, problems: Sequence[str]) -> list[Cell]:
        """Returns the cells in which any method has a run that was not skipped."""
        return sorted(cell for problem in problems for cell in self._cells.get((stage, problem), ()))

    def times(self, stage: str, problems: Sequence[str], tau: float, methods: Sequence[str]) -> np.ndarray:
        """Returns the evaluations to a target, [cells, methods]; infinite where a method has no run in a cell."""
        cells = {cell: row for row, cell in enumerate(self.cells(stage, problems))}
        times = np.full((len(cells), len(methods)), math.inf)
        for column, method in enumerate(methods):
            for run in (run for problem in problems for run in self.ran(stage, problem, method)):
                times[cells[cell_of(run)], column] = self.time(run, tau)
        return times

    def missing(self, stage: str, problem: str, method: str) -> int:
        """Returns the number of cells in which other methods have a run, and this one should have one but has no row.

        A method that was skipped on the problem should have none, as its single row stands for all its cells. A method
        that was scored by default without any tuning trial should have none in the stage `tuned`.
        """
        every = [run for each in STAGES for run in self.of(each, problem, method)]
        is_skipped = bool(every) and all(run.status == "skipped" for run in every)
        is_untuned = stage == "tuned" and bool(every) and all(run.stage == "default" for run in every)
        has = {cell_of(run) for run in self.of(stage, problem, method)}
        return 0 if is_skipped or is_untuned else len(self._cells.get((stage, problem), set()) - has)

    def unequal_starts(self) -> list[Cell]:
        """Returns the scoring cells in which a method began with another loss than the other methods."""
        odd = set()
        for run in self.runs:
            yardstick = self.yardsticks.get(cell_of(run))
            if run.stage in SCORING and yardstick is not None and math.isfinite(run.initial):
                scale = max(abs(yardstick.start), np.finfo(float).tiny)
                odd |= {cell_of(run)} if abs(run.initial - yardstick.start) > SAME_START * scale else set()
        return sorted(odd)


def performance_ratios(times: np.ndarray) -> np.ndarray:
    """Returns r[p, s] = t[p, s] / min over s of t[p, s], the ratio to the best method of each cell.

    Dolan and Moré, "Benchmarking optimization software with performance profiles", Math. Program. 91 (2002), section 2.
    The ratios of a cell that no method solved are infinite, so that it counts as unsolved for every method.

    Args:
        times: [cells, methods], infinite where unsolved.
    """
    best = times.min(axis=1, keepdims=True, initial=math.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(times == best, 1.0, times / best)
    return np.where(np.isfinite(times), ratios, math.inf)


def profile(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Returns the share of cells with a value of at most `at`, [methods, len(at)].

    For the values of `performance_ratios`, this is the performance profile rho_s. For times, it is the data profile d_s
    of Moré and Wild (2009), section 2, with one deviation: they divide by n + 1, the cost of a simplex gradient; here
    the unit is one evaluation of value and gradient, whatever the number of unknowns.
    """
    if not len(values):
        return np.zeros((values.shape[1], len(at)))
    return np.mean(values[:, :, None] <= np.asarray(at)[None, None], axis=0)


class Band(NamedTuple):
    """Normalized gaps of some runs along a grid: their median and the quantiles `QUARTILES`."""

    median: np.ndarray
    low: np.ndarray
    high: np.ndarray


def band(scores: Scores, runs: Sequence[Run], grid: np.ndarray, axis: str = "evaluations") -> Band:
    """Returns the gaps of the best loss so far along a grid of evaluations or seconds.

    Between two points of a run, its gap is that of the earlier one; before the first point, it is that of the start. A
    run that ended, for whatever reason, keeps its last gap. The gap of a run without any point is infinite.
    """
    gaps = np.full((len(runs), len(grid)), math.inf)
    for row, run in enumerate(runs):
        yardstick = scores.yardsticks.get(cell_of(run))
        if yardstick is not None and run.points:
            places = np.array([getattr(point, axis) for point in run.points], float)
            values = yardstick.gap(np.array([run.initial, *(point.best for point in run.points)]))
            gaps[row] = values[np.searchsorted(places, grid, side="right")]
    low, high = np.quantile(gaps, QUARTILES, axis=0, method="inverted_cdf")
    return Band(np.median(gaps, axis=0), low, high)


class Standing(NamedTuple):
    """A method's place on a problem.

    Attributes:
        method: Name of the method.
        time: Evaluations to the ranking's target.
        gap: Final gap.
        is_separated: Whether the method's interval lies wholly above that of the first, and both have at least
            `FEWEST_RUNS` runs.
    """

    method: str
    time: Estimate
    gap: Estimate
    is_separated: bool


class Ranking(NamedTuple):
    """The order of the methods on a problem.

    Attributes:
        problem: Name of the problem.
        stage: One of `SCORING`.
        tau: The target that decides; None if no method meets any in the median, and final gaps decide.
        standings: The ranked methods, the best first.
        unranked: Methods all of whose runs failed.
    """

    problem: str
    stage: str
    tau: float | None
    standings: tuple[Standing, ...]
    unranked: tuple[str, ...]


def rank(scores: Scores, problem: str, stage: str) -> Ranking:
    """Orders the methods by the median evaluations to one target, and by their median final gap where those are equal.

    The target is the hardest that at least the share `QUORUM` of the methods meets in the median. A harder target would
    order only few methods, and an easier one would ignore how far the runs got. If no target is met by so many methods,
    it is the hardest that any method meets.
    """
    methods = scores.methods_of(stage, problem)
    failed = [name for name in methods if all(run.status in FAILED for run in scores.of(stage, problem, name))]
    ranked = [name for name in methods if name not in failed]
    times = {tau: {name: scores.time_to(stage, problem, name, tau) for name in ranked} for tau in TAUS}
    met = {tau: sum(math.isfinite(time.median) for time in times[tau].values()) for tau in TAUS}
    by_hardness = sorted(TAUS)
    tau = next((tau for tau in by_hardness if met[tau] >= max(1, QUORUM * len(ranked))), None)
    tau = tau or next((tau for tau in by_hardness if met[tau]), None)

    rows = [(name, times[tau or max(TAUS)][name], scores.gap_of(stage, problem, name)) for name in ranked]
    rows.sort(key=lambda row: (row[1].median, row[2].median, row[0]))
    decisive = [time if tau else gap for _, time, gap in rows]
    separated = [
        value.low > decisive[0].high and min(value.count, decisive[0].count) >= FEWEST_RUNS for value in decisive
    ]
    standings = tuple(Standing(*row, is_separated) for row, is_separated in zip(rows, separated, strict=True))
    return Ranking(problem, stage, tau, standings, tuple(failed))


def overall_order(methods: Sequence[str], rankings: Sequence[Ranking]) -> list[str]:
    """Returns the methods by their mean place over rankings; one that is not ranked has the place after the last.

    This order chooses colors and the order of rows. It is no result, as places on different problems have no common
    unit.
    """
    places: dict[str, list[int]] = {method: [] for method in methods}
    for ranking in rankings:
        order = {standing.method: place for place, standing in enumerate(ranking.standings)}
        for method in methods:
            places[method].append(order.get(method, len(methods)))
    return sorted(methods, key=lambda method: (np.mean(places[method] or [0]), method))
