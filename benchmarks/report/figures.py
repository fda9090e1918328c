"""Figures of a report, as SVG text: curves with bands, profiles, learning-rate sensitivity.

Every method has the same line in all figures of a report: a color, a dash and a marker, so that lines differ also in
print and for color-blind readers. The leading methods of a figure have thick lines, and the legend names them first.
"""

import io
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.records import Run
from benchmarks.report.rendering import printable
from benchmarks.report.tables import target_name
from benchmarks.statistics import FAILED, TAUS, Scores, band, performance_ratios, profile
from jaxstyle.optimize.optimizer_table import OPTIMIZERS

#: Gaps below it are drawn at it: a hundredth of the hardest target.
FLOOR = min(TAUS) / 100

#: Highest gap drawn; the start has 1.
CEILING = 1.6

#: Points along an axis of a curve.
RESOLUTION = 120

#: Width of a figure in inches: the text is as large as the page's where the figure is as wide as the page.
WIDTH = 9.2

#: Inches that a letter, the line before it, and a row take in a legend.
LETTER_WIDTH, SAMPLE_WIDTH, ROW_HEIGHT = 0.075, 0.65, 0.165

#: How many methods of a figure have thick lines, and how many their band: more bands overlap too much to be read.
LEADERS, BANDS = 7, 3

#: Names of the settings that are a rate.
RATES = tuple(dict.fromkeys(spec.rate for spec in OPTIMIZERS.values() if spec.rate))

#: Okabe and Ito, "Color universal design" (2008), without yellow, which is lost on white.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

#: With the colors, they repeat after 35 lines, and with the markers after 385.
DASHES = ("-", (0, (6, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = tuple("os^DvPX<>*h")

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "lines.markersize": 4.5,
}

_AXES = {"evaluations": "evaluations of value and gradient", "seconds": "seconds of running, compilation apart"}


def choose_lines(ranked: Sequence[str], order: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns how the methods of a figure are drawn, as keyword arguments of Matplotlib's lines.

    Args:
        ranked: Methods of the figure; the first have thick lines, above the others.
        order: All methods of the report; a method's color, dash and marker depend on its place here only.
    """
    styles = dict(zip(order, zip(cycle(COLORS), cycle(DASHES), cycle(MARKERS), strict=False), strict=False))
    widths = {method: 1.6 if place < LEADERS else 0.8 for place, method in enumerate(ranked)}
    names = ("color", "linestyle", "marker", "linewidth", "zorder")
    values = ((*styles[method], widths[method], 3 - place / 1000) for place, method in enumerate(ranked))
    return {method: dict(zip(names, value, strict=True)) for method, value in zip(ranked, values, strict=True)}


def drawable(runs: Sequence[Run]) -> bool:
    """Returns whether a method has a curve: whether more than half of its runs have points."""
    return sum(bool(run.points) for run in runs) > len(runs) / 2


def convergence(scores: Scores, problem: str, stage: str, ranked: Sequence[str], order: Sequence[str]) -> str:
    """Returns normalized gaps against evaluations and against seconds: medians, and quartiles of those that lead.

    Args:
        scores: All runs.
        problem: Name of the problem.
        stage: One of `benchmarks.statistics.SCORING`.
        ranked: Methods to draw, the best first.
        order: All methods in the order of all problems.
    """
    lines = choose_lines(ranked, order)
    runs_of = {method: scores.of(stage, problem, method) for method in ranked}
    points = [point for runs in runs_of.values() for run in runs for point in run.points]
    with mpl.rc_context(_STYLE):
        figure, axes = _panels(1, 4.0, lines)
        for ax, axis in zip(axes[0], _AXES, strict=True):
            positive = [place for point in points if (place := getattr(point, axis)) > 0] or [1.0]
            grid = np.geomspace(min(positive), max(*positive, min(positive) * 1.01), RESOLUTION)
            for method, runs in runs_of.items():
                median, low, high = (np.clip(gaps, FLOOR, 10 * CEILING) for gaps in band(scores, runs, grid, axis))
                if method in ranked[:BANDS]:
                    color = lines[method]["color"]
                    ax.fill_between(grid, low, high, step="post", color=color, alpha=0.15, linewidth=0)
                stop = np.median([getattr(run.points[-1], axis) for run in runs if run.points])
                mark = min(int(np.searchsorted(grid, stop)), len(grid) - 1)
                ax.plot(grid, median, **lines[method], drawstyle="steps-post", markevery=[mark])
            ax.set(xscale="log", yscale="log", xlabel=_AXES[axis])
            ax.margins(x=0.01)
            _plain_ticks(ax)
            ax.hlines(TAUS, 0, 1, transform=ax.get_yaxis_transform(), color="0.85", linewidth=0.8, zorder=0)
        lowest = min(line.get_ydata()[-1] for line in axes[0][0].lines)
        axes[0][0].set(ylim=(_floor([lowest]), CEILING), ylabel="gap to the best found by anyone here")
        return _svg(figure)


def profiles(scores: Scores, stage: str, problems: Sequence[str], order: Sequence[str]) -> str:
    """Returns performance profiles (left) and data profiles (right) over some problems, a row for each target."""
    methods = [name for name in order if any(scores.of(stage, problem, name) for problem in problems)]
    needed = [scores.times(stage, problems, tau, methods) for tau in TAUS]
    areas = np.sum([_area(times) for times in needed], axis=0)
    leading = np.argsort(-areas, kind="stable")
    ranked = [methods[column] for column in leading]
    lines = choose_lines(ranked, order)
    with mpl.rc_context(_STYLE):
        figure, axes = _panels(len(TAUS), 2.5, lines)
        for row, tau, times in zip(axes, TAUS, needed, strict=True):
            for ax, values in zip(row, (performance_ratios(times), times), strict=True):
                _profile(ax, values[:, leading], lines)
            row[0].set_ylabel(f"share of cells solved to {target_name(tau)}")
        axes[-1][0].set_xlabel("evaluations, as a multiple of the fastest method's")
        axes[-1][1].set_xlabel(_AXES["evaluations"])
        return _svg(figure)


def _area(times: np.ndarray) -> np.ndarray:
    """Returns the area under each data profile over the logarithm of evaluations, up to a constant."""
    last = 2 * times[np.isfinite(times)].max(initial=1.0)
    return -np.log(np.minimum(times, last)).sum(axis=0)


def _profile(ax: Axes, values: np.ndarray, lines: Mapping[str, Any]) -> None:
    """Draws the share of cells below growing values, a line per method."""
    finite = values[np.isfinite(values)]
    top = 1.1 * max(finite.max(initial=1.0), 2.0)
    least = finite[finite > 0].min(initial=math.inf)
    start = least / 2 if least not in (1.0, math.inf) else 1.0  # ratios begin at 1
    grid = np.union1d(np.geomspace(start, top, RESOLUTION), np.unique(finite)[: 4 * RESOLUTION])
    for place, (line, shares) in enumerate(zip(lines.values(), profile(values, grid), strict=True)):
        marks = (5 * place % (len(grid) // 3), len(grid) // 3)  # not all at the same places
        ax.plot(grid, shares, **line, drawstyle="steps-post", markevery=marks)
    ax.set(xscale="log", xlim=(start, top), ylim=(-0.02, 1.03))
    _plain_ticks(ax)


def _label(method: str) -> str:
    return printable(method).replace("$", r"\$")  # or Matplotlib would read a formula


def _floor(gaps: Sequence[float]) -> float:
    """Returns where a logarithmic axis of gaps begins: at the decade below the lowest, and below every target."""
    lowest = max(min(gaps), FLOOR)
    return max(min(10 ** math.floor(math.log10(0.7 * lowest)), min(TAUS) / 2), FLOOR)


def _plain_ticks(ax: Axes) -> None:
    """Labels a logarithmic axis with 1, 10, 100 or, where it spans little, with 1, 2, 5, 10."""
    low, high = ax.get_xlim()
    steps = (1.0,) if high > 100 * low else (1.0, 2.0, 5.0) if high > 3 * low else (1.0, 1.2, 1.5, 2.0, 2.5, 3.0)
    ax.xaxis.set_major_locator(LogLocator(subs=steps, numticks=100))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


def sensitivity(scores: Scores, problem: str, order: Sequence[str]) -> str | None:
    """Returns the final gaps of tuning trials against their learning rates; None, if no trial has a rate.

    Each method has a small panel; rates are multiples of the default, if the records have it.
    """
    chosen = {method: trials for method in order if (trials := rated(scores, problem, method))}
    if not chosen:
        return None
    columns = min(5, len(chosen))
    rows = math.ceil(len(chosen) / columns)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH * max(columns, 3) / 5, 1.4 * rows + 0.5), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        floor = _floor([gap for trials in chosen.values() for _, gap, _ in trials])
        for ax, (method, trials) in zip(panels, chosen.items(), strict=False):
            _trials(ax, trials)
            ax.set_title(_label(method), fontsize=7.5, pad=3)
        panels[0].set(xscale="log", yscale="log", ylim=(floor, CEILING))
        _plain_ticks(panels[0])
        for place, ax in enumerate(panels):  # the last panel of each column has the ticks' labels
            ax.set_visible(place < len(chosen))
            ax.xaxis.set_tick_params(labelbottom=place + columns >= len(chosen))
        figure.supxlabel("learning rate, as a multiple of the method's default", fontsize=8.5)
        figure.supylabel("final gap of the run", fontsize=8.5)
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


def _trials(ax: Axes, trials: Sequence[tuple[float, float, bool]]) -> None:
    """Draws a dot per trial, a cross for one that failed, and a ring around the best."""
    good = [(rate, max(gap, FLOOR)) for rate, gap, has_failed in trials if not has_failed]
    bad = [(rate, gap) for rate, gap, has_failed in trials if has_failed]
    ax.axvline(1, color="0.85", linewidth=0.8, zorder=0)
    for points, marker, size, color in ((good, "o", 9, COLORS[1]), (bad, "x", 16, COLORS[2])):
        ax.scatter(*np.reshape(points, (-1, 2)).T, s=size, c=color, marker=marker, clip_on=False)
    if good:
        best = min(good, key=lambda trial: trial[1])
        ax.plot(*best, "o", markersize=7, markerfacecolor="none", markeredgecolor="black", clip_on=False)


def _panels(rows: int, height: float, lines: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, np.ndarray]:
    """Returns rows of two panels that share their vertical axis, each row so high, above a legend of the lines."""
    columns = max(1, int(WIDTH / (SAMPLE_WIDTH + LETTER_WIDTH * max(map(len, lines)))))
    legend_height = ROW_HEIGHT * math.ceil(len(lines) / columns)
    figure = Figure(figsize=(WIDTH, height * rows + legend_height), layout="constrained")
    handles = [Line2D([], [], label=_label(method), **line) for method, line in lines.items()]
    style = {"ncols": columns, "fontsize": 7.5, "frameon": False, "handlelength": 3.5}
    figure.legend(handles=handles, loc="outside lower center", **style)
    return figure, figure.subplots(rows, 2, sharey="row", squeeze=False)


def _svg(figure: Figure) -> str:
    """Returns a figure as SVG in base64, without what differs between two runs of the same program."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return b64encode(text.getvalue().encode()).decode()
