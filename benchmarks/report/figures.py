"""Figures of a report, as SVG text: curves with bands, profiles, learning-rate sensitivity.

They read in print and by the color-blind: the colors of Okabe and Ito, a dash and a marker of its own for each of the
few lines that stand out, and names at the lines' ends. The rest is thin and gray.
"""

import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy.optimize import isotonic_regression

from benchmarks.records import Run
from benchmarks.report.tables import target_name
from benchmarks.statistics import FAILED, TAUS, Scores, band, performance_ratios, profile

#: Gaps below it are drawn at it: a hundredth of the hardest target.
FLOOR = min(TAUS) / 100

#: Highest gap drawn; the start has 1.
CEILING = 1.6

#: Points along an axis of a curve.
RESOLUTION = 120

#: Inches: the text is as large as the page's where the figure is as wide as the page.
WIDTH = 9.2

#: Inches a name takes at the end of a line, with a little air.
NAME_HEIGHT = 0.125

#: Inches from the axes to the names at the ends of lines, and that a letter of them takes.
NAME_START, LETTER_WIDTH = 0.46, 0.066

#: How many of the lines that stand out have their band: more of them overlap to mud.
BANDS = 3

GRAY = "0.72"

#: Names of the settings that are a rate.
RATES = ("learning_rate", "max_learning_rate")


class Line(NamedTuple):
    """How a method is drawn."""

    color: str
    dash: Any
    marker: str


#: Okabe and Ito, "Color universal design" (2008), without yellow, which is lost on white.
LINES = (
    Line("#000000", "-", "o"),
    Line("#0072B2", (0, (6, 1.5)), "s"),
    Line("#D55E00", (0, (1.2, 1.2)), "^"),
    Line("#009E73", (0, (5, 1.5, 1, 1.5)), "D"),
    Line("#CC79A7", (0, (3, 1.2)), "v"),
    Line("#E69F00", (0, (7, 1.5, 1, 1.5, 1, 1.5)), "P"),
    Line("#56B4E9", (0, (2.2, 1, 1, 1)), "X"),
)


def choose_lines(shown: Sequence[str], order: Sequence[str]) -> dict[str, Line]:
    """Returns lines for the first of `shown`; those that lead in `order` have the same line in every figure."""
    shown = list(shown)[: len(LINES)]
    fixed = {method: line for method, line in zip(order, LINES, strict=False) if method in shown}
    free = iter(line for line in LINES if line not in fixed.values())
    return {method: fixed[method] if method in fixed else next(free) for method in shown}


def spread(positions: Sequence[float], heights: Sequence[float], low: float, high: float) -> np.ndarray:
    """Moves positions apart, by as little as possible in squares, so that things of these heights do not overlap.

    With the heights taken off, that is an isotonic regression. If they need more room than there is, they shrink.
    """
    wanted = np.asarray(positions, float)
    if not len(wanted):
        return wanted
    order = np.argsort(wanted, kind="stable")
    sizes = np.asarray(heights, float)[order]
    sizes *= min(1.0, (high - low) / sizes.sum())
    offsets = np.cumsum(sizes) - sizes / 2
    fitted = isotonic_regression(wanted[order] - offsets).x
    placed = np.empty_like(wanted)
    placed[order] = np.clip(fitted, low, high - sizes.sum()) + offsets
    return placed


def convergence(scores: Scores, problem: str, stage: str, ranked: Sequence[str], order: Sequence[str]) -> str:
    """Returns normalized gaps against evaluations and against seconds: medians, and quartiles of those that lead.

    Args:
        scores: All runs.
        problem: Whose.
        stage: Whose.
        ranked: Methods, the best first.
        order: Methods in the order of all problems.
    """
    methods = [method for method in ranked if drawable(scores.of(stage, problem, method))]
    lines = choose_lines(methods, order)
    with _style():
        figure, axes = _panels(1, 2, max(4.0, 0.6 + NAME_HEIGHT * len(methods)), methods)
        for ax, axis in zip(axes[0], ("evaluations", "seconds"), strict=True):
            ends = _curves(ax, scores, stage, problem, methods, lines, axis)
            ax.set(xscale="log", yscale="log", xlabel=_AXES[axis])
            ax.margins(x=0)
            _plain_ticks(ax)
            ax.hlines(TAUS, 0, 1, transform=ax.get_yaxis_transform(), color="0.85", linewidth=0.8, zorder=0)
        axes[0][0].set_ylim(_floor(ends.values()), CEILING)
        axes[0][0].set_ylabel("gap to the best found by anyone here")
        _name_ends(axes[0][1], ends, lines)
        return _svg(figure)


_AXES = {"evaluations": "evaluations of value and gradient", "seconds": "seconds of running, compilation apart"}


def _floor(gaps: Iterable[float]) -> float:
    """Returns where a logarithmic axis of gaps begins: at the decade below the lowest, and below every target."""
    lowest = max(min(gaps, default=1.0), FLOOR)
    return max(min(10 ** math.floor(math.log10(0.7 * lowest)), min(TAUS) / 2), FLOOR)


def _plain_ticks(ax: Axes) -> None:
    """Labels a logarithmic axis with 1, 10, 100 or, where it spans little, with 1, 2, 5, 10."""
    low, high = ax.get_xlim()
    steps = (1.0,) if high > 100 * low else (1.0, 2.0, 5.0) if high > 3 * low else (1.0, 1.2, 1.5, 2.0, 2.5, 3.0)
    ax.xaxis.set_major_locator(LogLocator(subs=steps, numticks=100))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def drawable(runs: Sequence[Run]) -> bool:
    """Returns whether a method has a curve: whether more than half of its runs have points."""
    return sum(bool(run.points) for run in runs) > len(runs) / 2


def _curves(
    ax: Axes, scores: Scores, stage: str, problem: str, methods: Sequence[str], lines: Mapping[str, Line], axis: str
) -> dict[str, float]:
    """Draws a curve per method on a grid that all share, and returns where they end."""
    chosen = {method: scores.of(stage, problem, method) for method in methods}
    places = [getattr(point, axis) for runs in chosen.values() for run in runs for point in run.points]
    positive = [place for place in places if place > 0] or [1.0]
    grid = np.geomspace(min(positive), max(*positive, min(positive) * 1.01), RESOLUTION)
    ends = {}
    for method, runs in reversed(chosen.items()):
        found = band(scores, runs, grid, axis)
        median, low, high = (np.clip(values, FLOOR, 10 * CEILING) for values in found)
        line = lines.get(method)
        ends[method] = float(median[-1])
        if line is None:
            ax.plot(grid, median, color=GRAY, linewidth=0.7, drawstyle="steps-post", zorder=1)
            continue
        stop = np.median([getattr(run.points[-1], axis) for run in runs if run.points])
        at = min(int(np.searchsorted(grid, stop)), len(grid) - 1)
        if method in methods[:BANDS]:
            ax.fill_between(grid, low, high, step="post", color=line.color, alpha=0.15, linewidth=0, zorder=2)
        ax.plot(
            grid,
            median,
            color=line.color,
            linestyle=line.dash,
            marker=line.marker,
            markevery=[at],
            markersize=4.5,
            linewidth=1.5,
            drawstyle="steps-post",
            zorder=3,
        )
    return ends


def profiles(scores: Scores, stage: str, problems: Sequence[str], order: Sequence[str]) -> str:
    """Returns performance profiles (left) and data profiles (right) over some problems, a row for each target."""
    present = {method for problem in problems for method in scores.methods_of(stage, problem)}
    methods = [method for method in order if method in present]
    with _style():
        figure, axes = _panels(len(TAUS), 2, 2.5 * len(TAUS), methods)
        times = [scores.times(stage, problems, tau, methods) for tau in TAUS]
        areas = np.sum([_area(solved) for solved in times], axis=0)
        lines = choose_lines([methods[column] for column in np.argsort(-areas, kind="stable")], order)
        for row, tau, solved in zip(axes, TAUS, times, strict=True):
            for ax, values in zip(row, (performance_ratios(solved), solved), strict=True):
                ends = _profile(ax, values, methods, lines)
            row[0].set_ylabel(f"share of cells solved to {target_name(tau)}")
            _name_ends(row[1], {method: ends[method] for method in lines}, lines)
        axes[-1][0].set_xlabel("evaluations, as a multiple of the fastest method's")
        axes[-1][1].set_xlabel(_AXES["evaluations"])
        return _svg(figure)


def _area(times: np.ndarray) -> np.ndarray:
    """Returns the area under each data profile over the logarithm of evaluations, up to a constant."""
    last = 2 * times[np.isfinite(times)].max(initial=1.0)
    return -np.log(np.minimum(times, last)).sum(axis=0)


def _profile(ax: Axes, values: np.ndarray, methods: Sequence[str], lines: Mapping[str, Line]) -> dict[str, float]:
    """Draws the share of cells below growing values, a line per method, and returns where they end."""
    finite = values[np.isfinite(values)]
    top = 1.1 * max(finite.max(initial=1.0), 2.0)
    least = finite[finite > 0].min(initial=math.inf)
    start = least / 2 if least not in (1.0, math.inf) else 1.0  # ratios begin at 1
    grid = np.union1d(np.geomspace(start, top, RESOLUTION), np.unique(finite)[: 4 * RESOLUTION])
    shares = profile(values, grid)
    for method, share in reversed(list(zip(methods, shares, strict=True))):
        line = lines.get(method)
        if line is None:
            ax.plot(grid, share, color=GRAY, linewidth=0.7, drawstyle="steps-post", zorder=1)
        else:
            ax.plot(
                grid,
                share,
                color=line.color,
                linestyle=line.dash,
                marker=line.marker,
                markersize=4,
                markevery=(len(grid) // 8, len(grid) // 3),
                linewidth=1.5,
                drawstyle="steps-post",
                zorder=3,
            )
    ax.set(xscale="log", xlim=(start, top), ylim=(-0.02, 1.03))
    _plain_ticks(ax)
    return {method: float(share[-1]) for method, share in zip(methods, shares, strict=True)}


def sensitivity(scores: Scores, problem: str, order: Sequence[str]) -> str | None:
    """Returns the final gaps of tuning trials against their learning rates; None, if no trial has a rate.

    A small panel per method; rates are multiples of the default's where the records know it.
    """
    chosen = {method: rated(scores, problem, method) for method in order}
    chosen = {method: trials for method, trials in chosen.items() if trials}
    if not chosen:
        return None
    columns = min(5, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    with _style():
        width, height = WIDTH * max(columns, 3) / 5, 1.4 * rows + 0.5
        figure = Figure(figsize=(width, height))
        figure.subplots_adjust(
            left=0.65 / width, right=1 - 0.1 / width, bottom=0.5 / height, top=1 - 0.25 / height, wspace=0.1, hspace=0.3
        )
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        panels = [ax for row in axes for ax in row]
        floor = _floor(gap for trials in chosen.values() for _, gap, _ in trials)
        for ax, (method, trials) in zip(panels, chosen.items(), strict=False):
            _trials(ax, trials, floor)
            ax.set_title(method, fontsize=7.5, pad=3)
        for place, ax in enumerate(panels):  # the last panel of each column has the ticks' labels
            ax.set_visible(place < len(chosen))
            ax.xaxis.set_tick_params(labelbottom=place + columns >= len(chosen))
        figure.supxlabel("learning rate, as a multiple of the method's default", fontsize=8.5, y=0.08 / height)
        figure.supylabel("final gap of the run", fontsize=8.5, x=0.06 / width)
        return _svg(figure)


def rated(scores: Scores, problem: str, method: str) -> list[tuple[float, float, bool]]:
    """Returns each tuning trial's rate over the default's, its final gap, and whether it failed.

    A failed trial, or one with no finite gap, has the gap of the start, 1. Where no default is recorded, rates are
    multiples of the median rate tried.
    """
    trials = [(run, rate) for run in scores.of("tuning", problem, method) if (rate := _rate(run))]
    if not trials:
        return []
    defaults = [rate for run in scores.of("default", problem, method) if (rate := _rate(run))]
    unit = defaults[0] if defaults else float(np.median([rate for _, rate in trials]))
    found = []
    for run, rate in trials:
        gap = scores.final_gap(run)
        has_failed = run.status in FAILED or not math.isfinite(gap)
        found.append((rate / unit, 1.0 if has_failed else gap, has_failed))
    return found


def _rate(run: Run) -> float | None:
    rate = next((run.settings[name] for name in RATES if name in run.settings), None)
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None


def _trials(ax: Axes, trials: Sequence[tuple[float, float, bool]], floor: float) -> None:
    """Draws a dot per trial, a cross for one that failed, and a ring around the best."""
    good = [(rate, max(gap, floor)) for rate, gap, has_failed in trials if not has_failed]
    bad = [(rate, gap) for rate, gap, has_failed in trials if has_failed]
    ax.axvline(1, color="0.85", linewidth=0.8, zorder=0)
    if good:
        ax.plot(
            *zip(*sorted(good), strict=True), "o", color=LINES[1].color, markersize=3, linestyle="none", clip_on=False
        )
        best = min(good, key=lambda trial: trial[1])
        ring = {"markersize": 7, "markerfacecolor": "none", "markeredgecolor": "black", "markeredgewidth": 0.8}
        ax.plot(*best, "o", clip_on=False, **ring)
    if bad:
        ax.plot(*zip(*bad, strict=True), "x", color=LINES[2].color, markersize=4, linestyle="none", clip_on=False)
    ax.set(xscale="log", yscale="log", ylim=(floor, CEILING))


def _panels(rows: int, columns: int, height: float, names: Sequence[str]) -> tuple[Figure, np.ndarray]:
    """Returns panels in rows that share their vertical axis, with a margin on the right for names."""
    margin = NAME_START + LETTER_WIDTH * max(map(len, names), default=0)
    figure = Figure(figsize=(WIDTH, height))
    figure.subplots_adjust(
        left=0.6 / WIDTH,
        right=1 - margin / WIDTH,
        bottom=0.45 / height,
        top=1 - 0.12 / height,
        wspace=0.09,
        hspace=0.16,
    )
    return figure, figure.subplots(rows, columns, sharey="row", squeeze=False)


def _name_ends(ax: Axes, ends: Mapping[str, float], lines: Mapping[str, Line]) -> None:
    """Writes each line's name beside its end, moved up or down until no two overlap, and connected to it."""
    height = ax.get_position().height * ax.figure.get_figheight()  # type: ignore[union-attr]
    width = ax.get_position().width * ax.figure.get_figwidth()  # type: ignore[union-attr]
    names, reach = list(ends), NAME_START / width
    to_axes = ax.transData + ax.transAxes.inverted()
    x = ax.get_xlim()[1]
    wanted = [float(np.clip(to_axes.transform((x, ends[name]))[1], 0, 1)) for name in names]
    placed = spread(wanted, [NAME_HEIGHT / height] * len(names), 0, 1)
    for name, start, end in zip(names, wanted, placed, strict=True):
        line = lines.get(name)
        color, dash, thickness = (line.color, line.dash, 1.2) if line else (GRAY, "-", 0.5)
        turns = (1, 1 + 0.38 * reach, 1 + 0.8 * reach)
        ax.plot(
            turns,
            (start, end, end),
            transform=ax.transAxes,
            color=color,
            linestyle=dash,
            linewidth=thickness,
            clip_on=False,
        )
        if line:
            ax.plot(turns[-1], end, line.marker, transform=ax.transAxes, color=color, markersize=4, clip_on=False)
        ax.text(
            1 + reach,
            end,
            name,
            transform=ax.transAxes,
            va="center",
            fontsize=7.5 if line else 6.5,
            color="black" if line else "0.4",
        )


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "report",
            "font.size": 8.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.7,
            "xtick.labelsize": 7.5,
            "ytick.labelsize": 7.5,
        }
    ):
        yield


def _svg(figure: Figure) -> str:
    """Returns a figure as SVG without what differs between two runs of the same program."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return text.getvalue()
