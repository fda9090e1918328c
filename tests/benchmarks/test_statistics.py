"""Numbers of a comparison against SciPy and against what a pencil gives."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.records import Point, Run
from benchmarks.report.figures import choose_lines, rated
from benchmarks.statistics import (
    FAILED,
    QUORUM,
    Cell,
    Scores,
    Yardstick,
    band,
    estimate,
    overall_order,
    performance_ratios,
    profile,
    rank,
)

INF = math.inf


def make_run(
    method="a", losses=(10.0,), *, number=0, problem="p", instance="i", stage="tuned", status="budget", **more
):
    """A run with a point at each of its evaluations 1, 2, ...; each takes half a second."""
    best = np.minimum.accumulate(losses) if len(losses) else []
    points = tuple(
        Point(place, place - 1, loss, float(low), place / 2)
        for place, (loss, low) in enumerate(zip(losses, best, strict=True), 1)
    )
    facts = {
        "run": f"{stage}/{problem}/{instance}/{method}/{number}",
        "settings": {},
        "budget": 20,
        "evaluations": len(points),
        "initial": points[0].loss if points else math.nan,
        "best": points[-1].best if points else math.nan,
        "points": points,
    }
    where = {"stage": stage, "problem": problem, "instance": instance, "method": method, "number": number}
    return Run(**(facts | where | {"status": status} | more))


def falling_to(target_at, *, floor=0.0, **more):
    """A run from 10 that falls to `floor` at one evaluation and stays there."""
    return make_run(losses=[10.0] * (target_at - 1) + [floor] * 2, **more)


@pytest.mark.parametrize("count", [2, 5, 9, 10, 31])
def test_intervals_are_scipys(count):
    values = np.random.default_rng(count).lognormal(size=count)
    found = estimate(values)
    assert found.median == np.median(values)
    assert (found.count, found.finite) == (count, count)
    # Medians of resamples take few values, so another seed may give the next: intervals a little wider and narrower.
    (wide_low, wide_high), (narrow_low, narrow_high) = (
        stats.bootstrap(
            (values,), np.median, method="percentile", confidence_level=level, rng=np.random.default_rng(1)
        ).confidence_interval
        for level in (0.96, 0.94)
    )
    assert wide_low <= found.low <= narrow_low
    assert narrow_high <= found.high <= wide_high


@pytest.mark.parametrize(("count", "infinite"), [(9, 1), (9, 2), (9, 4), (9, 5), (9, 8), (21, 5), (21, 16)])
def test_infinite_values_take_part_as_the_largest(count, infinite):
    # The median of an odd resample is infinite where more than half of its draws are, which is binomial.
    share = stats.binom.sf(count // 2, count, infinite / count)
    found = estimate([1.0] * (count - infinite) + [INF] * infinite)
    assert found.median == (1.0 if infinite < count / 2 else INF)
    assert found.high == (INF if share > 0.025 else 1.0)
    assert found.low == (1.0 if share < 0.975 else INF)
    assert found.finite == count - infinite


def test_medians_that_are_half_infinite():
    assert estimate([1.0, INF]).median == INF
    assert estimate([1.0, 3.0, INF]).median == 3.0
    assert estimate([INF] * 4)[:3] == (INF, INF, INF)


def test_one_value_or_none_says_nothing_of_the_spread():
    assert estimate([3.0]) == (3.0, 0.0, INF, 1, 1)
    found = estimate([])
    assert math.isnan(found.median)
    assert (found.low, found.high, found.count) == (0.0, INF, 0)
    assert estimate([3.0]).overlaps(estimate([1.0, 1.0]))


def test_targets_are_more_and_wilds():
    yardstick = Yardstick(start=10.0, best=2.0)
    for tau in (0.1, 0.01, 0.001):
        target = yardstick.target(tau)
        assert yardstick.start - target == pytest.approx((1 - tau) * (yardstick.start - yardstick.best))
        assert float(yardstick.gap(target)) == pytest.approx(tau)
    assert yardstick.gap(np.array([10.0, 2.0, math.nan, INF])).tolist() == [1.0, 0.0, INF, INF]
    negative = Yardstick(start=-1.0, best=-5.0)
    assert negative.target(0.25) == -4.0
    assert Yardstick(3.0, 3.0).gap(np.array([3.0, 4.0])).tolist() == [0.0, INF]


def test_the_best_is_anybodys_on_the_same_instance():
    scores = Scores(
        (
            make_run("a", [10.0, 4.0]),
            make_run("b", [10.0, 2.0], stage="default", status="diverged"),
            make_run("b", [12.0, 3.0], number=1),
            make_run("a", [10.0, 1.0], instance="j"),
            make_run("a", [10.0, 0.0], stage="tuning", instance="t"),
            make_run("c", [], status="skipped"),
        )
    )
    assert scores.yardsticks == {
        Cell("p", "i", 0): Yardstick(10.0, 2.0),
        Cell("p", "i", 1): Yardstick(12.0, 2.0),
        Cell("p", "j", 0): Yardstick(10.0, 1.0),
        Cell("p", "t", 0): Yardstick(10.0, 0.0),
    }


def test_starts_that_differ_are_found_and_the_median_counts():
    runs = [make_run(name, [start, 1.0]) for name, start in (("a", 10.0), ("b", 10.0005), ("c", 14.0))]
    assert Scores(tuple(runs)).unequal_starts() == [Cell("p", "i", 0)]
    assert Scores(tuple(runs)).yardsticks[Cell("p", "i", 0)].start == 10.0005
    assert Scores(tuple(runs[:2])).unequal_starts() == []


@pytest.mark.parametrize("status", ["done", "budget", *FAILED])
def test_times_of_runs_that_failed_are_infinite(status):
    run = make_run("a", [10.0, 5.0, 0.9, 0.0], status=status)
    scores = Scores((run, make_run("b", [10.0, 0.0], number=1)))
    has_failed = status in ("diverged", "timeout", "oom", "error", "skipped")
    assert scores.time(run, 0.1) == (INF if has_failed else 3.0)
    assert scores.time(run, 0.1, "seconds") == (INF if has_failed else 1.5)
    assert scores.time(run, 0.01) == (INF if has_failed else 4.0)
    assert scores.final_gap(run) == (INF if has_failed else 0.0)


def test_a_target_that_was_never_met():
    run = make_run("a", [10.0, 5.0])
    scores = Scores((run, make_run("b", [10.0, 0.0])))
    assert scores.time(run, 0.1) == scores.time(run, 0.1, "seconds") == INF
    assert scores.final_gap(run) == 0.5


def test_profiles_by_hand():
    # Rows are cells, columns methods; nobody solved the last.
    times = np.array([[10.0, 20.0, INF], [30.0, 10.0, 40.0], [5.0, 5.0, INF], [INF, INF, INF]])
    ratios = performance_ratios(times)
    np.testing.assert_array_equal(ratios, [[1, 2, INF], [3, 1, 4], [1, 1, INF], [INF] * 3])
    np.testing.assert_array_equal(
        profile(ratios, np.array([1.0, 2.0, 3.0, 100.0])),
        [[0.5, 0.5, 0.75, 0.75], [0.5, 0.75, 0.75, 0.75], [0, 0, 0, 0.25]],
    )
    np.testing.assert_array_equal(
        profile(times, np.array([4.0, 5.0, 10.0, 40.0])),
        [[0, 0.25, 0.5, 0.75], [0, 0.25, 0.5, 0.75], [0, 0, 0, 0.25]],
    )
    np.testing.assert_array_equal(performance_ratios(np.zeros((1, 2))), [[1, 1]])
    assert profile(np.zeros((0, 2)), np.ones(3)).shape == (2, 3)


def test_a_method_without_a_run_in_a_cell_has_not_solved_it():
    scores = Scores((falling_to(3, method="a"), falling_to(4, method="b"), falling_to(5, method="b", problem="q")))
    times = scores.times("tuned", ["p", "q"], 0.1, ["a", "b"])
    np.testing.assert_array_equal(times, [[3, 4], [INF, 5]])
    assert scores.missing("tuned", "q", "a") == 1
    assert scores.missing("tuned", "q", "b") == 0
    assert scores.missing("default", "q", "b") == 0


def test_a_band_by_hand():
    runs = [
        make_run("a", [10.0, 6.0, 8.0, 2.0]),
        make_run("a", [10.0, 4.0], number=1, status="done"),
        make_run("a", [10.0, 10.0, 10.0, 0.0], number=2),
    ]
    found = band(Scores(tuple(runs)), runs, np.array([0.5, 1.0, 2.0, 2.9, 3.0, 4.0, 9.0]))
    gaps = np.array(
        [
            [1, 1, 0.6, 0.6, 0.6, 0.2, 0.2],
            [1, 1, 0.4, 0.4, 0.4, 0.4, 0.4],
            [1, 1, 1, 1, 1, 0, 0],
        ]
    )
    np.testing.assert_allclose(found.median, np.median(gaps, axis=0))
    np.testing.assert_allclose(found.low, gaps.min(axis=0))
    np.testing.assert_allclose(found.high, gaps.max(axis=0))
    seconds = band(Scores(tuple(runs)), runs, np.array([0.99, 1.0, 2.0]), "seconds")
    np.testing.assert_allclose(seconds.median, [1, 0.6, 0.2])


def test_a_band_with_runs_that_never_began():
    runs = [make_run("a", [10.0, 0.0]), *(make_run("a", [], number=n, status="skipped") for n in (1, 2))]
    found = band(Scores(tuple(runs)), runs, np.array([1.0, 2.0]))
    np.testing.assert_array_equal(found, [[INF, INF], [1, 0], [INF, INF]])


def ranked_runs(times, seeds=7):
    """Runs of some seeds for each method, with these times to every target; None never gets below 5."""
    return tuple(
        make_run(method, [10.0, 5.0], number=seed)
        if time is None
        else falling_to(time + seed, method=method, number=seed)
        for method, time in times.items()
        for seed in range(seeds)
    )


def test_a_ranking_says_what_is_not_separated():
    found = rank(Scores(ranked_runs({"slow": 8, "touches": 7, "near": 4, "first": 3, "never": None})), "p", "tuned")
    assert found.tau == 1e-3
    assert [(s.method, s.time.median, s.is_separated) for s in found.standings] == [
        ("first", 6.0, False),
        ("near", 7.0, False),
        ("touches", 10.0, False),
        ("slow", 11.0, True),
        ("never", INF, True),
    ]
    assert found.standings[-1].gap.median == 0.5
    # The median of seven draws is the least of seven values in about 1 % of resamples, one of the two least in 11 %.
    assert stats.binom.sf(3, 7, 1 / 7) < 0.025 < stats.binom.sf(3, 7, 2 / 7)
    assert found.standings[0].time[1:3] == (4.0, 8.0)


def test_few_runs_separate_nothing():
    for seeds, is_separated in ((1, False), (2, False), (5, False), (6, True)):
        # The least and the greatest of n cover the median with probability 1 - 2 / 2^n.
        assert (1 - 2 / 2**seeds >= 0.95) == is_separated
        found = rank(Scores(ranked_runs({"first": 3, "slow": 30}, seeds)), "p", "tuned")
        assert [standing.is_separated for standing in found.standings] == [False, is_separated]


def test_the_target_of_a_ranking_is_the_hardest_that_enough_meet():
    # Of nine methods two meet 1e-3, fewer than a quarter, and all but one 1e-1.
    runs = [falling_to(3, method=name) for name in "ab"]
    runs += [falling_to(3 + place, method=name, floor=0.5) for place, name in enumerate("cdefgh")]
    runs += [make_run("i", [10.0, 9.0])]
    assert QUORUM == 0.25
    assert rank(Scores(tuple(runs)), "p", "tuned").tau == 1e-1
    assert rank(Scores(tuple(runs[:8])), "p", "tuned").tau == 1e-3
    few = [falling_to(3, method="a"), *(make_run(name, [10.0, 9.0]) for name in "bcdef")]
    assert rank(Scores(tuple(few)), "p", "tuned").tau == 1e-3


def test_without_any_target_met_final_gaps_rank_and_failures_do_not():
    # Each method's runs are far apart, so that no median comes near the best found by anyone.
    runs = [
        make_run(name, [10.0, low + 4 * seed], number=seed) for name, low in (("b", 1.0), ("a", 0.0)) for seed in (0, 1)
    ]
    runs += [make_run("c", [10.0, 0.0], number=seed, status="diverged") for seed in (0, 1)]
    found = rank(Scores(tuple(runs)), "p", "tuned")
    assert found.tau is None
    assert [(s.method, s.gap.median) for s in found.standings] == [("a", 0.2), ("b", 0.3)]
    assert not any(s.is_separated for s in found.standings)
    assert found.unranked == ("c",)
    nobody = rank(Scores((make_run("c", [], status="skipped"),)), "p", "tuned")
    assert (nobody.standings, nobody.unranked) == ((), ("c",))


def test_the_overall_order_is_by_mean_place():
    one = rank(Scores(ranked_runs({"a": 3, "b": 6, "c": 9})), "p", "tuned")
    other = rank(Scores(ranked_runs({"c": 3, "b": 6})), "p", "tuned")
    # Places: a 0 and 3 (not ranked), b 1 and 1, c 2 and 0.
    assert overall_order(["a", "b", "c"], [one, other]) == ["b", "c", "a"]
    assert overall_order(["b", "a"], []) == ["a", "b"]


def test_methods_keep_their_line_and_no_two_share_one():
    def looks(ranked):
        lines = choose_lines(ranked, order)
        assert list(lines) == ranked
        return {method: (line["color"], line["linestyle"], line["marker"]) for method, line in lines.items()}

    order = [f"method {number}" for number in range(60)]
    found = list(looks(order).values())
    assert len(set(found)) == len(order)
    assert len({color for color, _, _ in found[:7]}) == 7
    # In gray print, and where a short piece shows no marker.
    assert len({look[1:] for look in found[:55]}) == 55
    assert len({look[:2] for look in found[:35]}) == 35
    shown = [order[place] for place in (40, 2, 13)]
    assert looks(shown) == {method: looks(order)[method] for method in shown}


def test_rates_are_multiples_of_the_default():
    scores = Scores(
        (
            make_run("a", [10.0, 0.0], stage="default", settings={"learning_rate": 2.0}),
            make_run("a", [10.0, 1.0], stage="tuning", instance="t", number=0, settings={"learning_rate": 1.0}),
            make_run("a", [10.0, 6.0], stage="tuning", instance="t", number=1, settings={"learning_rate": 8.0}),
            make_run(
                "a", [10.0], stage="tuning", instance="t", number=2, status="oom", settings={"learning_rate": 20.0}
            ),
            make_run("b", [10.0, 1.0], stage="tuning", instance="t", settings={"max_learning_rate": 3.0}),
            make_run("c", [10.0, 1.0], stage="tuning", instance="t", settings={"memory_size": 3}),
        )
    )
    assert rated(scores, "p", "a") == [(0.5, 0.0, False), (4.0, pytest.approx(5 / 9), False), (10.0, 1.0, True)]
    assert rated(scores, "p", "b") == [(1.0, 0.0, False)]
    assert rated(scores, "p", "c") == []
