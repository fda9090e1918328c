"""Reproduces the published figures of the teaching problems.

    python -m benchmarks.teaching [--only NAME ...] [--seeds 10]

Prints a table in Markdown: the published figure, the one measured here (the mean and, in brackets, the range over the
seeds, where anything is drawn at random) and whether the two agree. Where the source leaves something open, every
reading has its row. Verdicts are computed from the figures of their row. For waves and stocks each optimizer has the
best of five rates, chosen with other data (two seeds) than the scored runs have.

Expected (22 minutes on two busy cores; benchmarks/README.md has the table): a line 0.414, published 0.408; a tanh layer
0.260, published 0.253; the painter 39.6 after 500 epochs, published 41; the LSTM's best rate for Adam 6e-4, as
published.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.command_line import run_main
from benchmarks.markdown import print_table
from benchmarks.teaching import descent, painting, regression, stocks, waves
from benchmarks.teaching.batches import Batch, agree, follow, spread, tune_and_score
from jaxstyle import make_optimizer, minimize
from jaxstyle.checks import check_choice
from jaxstyle.problems import painter

#: The course's steps of gradient descent, and the epochs of its regressions: of the line, and of the other models.
DESCENT_STEPS, LINE_EPOCHS, EPOCHS = 500, 500, 100

#: Where the course's descent begins.
DESCENT_START = 120.0

#: The course prints the error after each tenth epoch.
PRINTED = 10

#: Steps of the published run of the waves, and of a run of stocks: 100 epochs.
WAVES_STEPS, STOCKS_STEPS = 80_000, 1500

#: Steps between two validation errors.
WAVES_EVERY, STOCKS_EVERY = 4000, 15

#: By optimizer, the rates to choose from.
WAVES_RATES = {
    "adam": (1e-4, 3e-4, 6e-4, 2e-3, 6e-3),  # first: the others are compared with it
    "sgd": (1e-5, 1e-4, 1e-3, 3e-3, 1e-2),
    "momentum": (1e-6, 1e-5, 1e-4, 3e-4, 1e-3),
    "adagrad": (0.03, 0.1, 0.3, 1.0, 3.0),
    "adadelta": (0.1, 0.3, 1.0, 3.0, 10.0),
    "rmsprop": (1e-4, 3e-4, 6e-4, 2e-3, 6e-3),
    "ftrl": (0.03, 0.1, 0.3, 1.0, 3.0),
}
STOCKS_RATES = {
    "sgd": (0.01, 0.03, 0.1, 0.3, 1.0),
    "momentum": (1e-3, 3e-3, 0.01, 0.03, 0.1),
    "adagrad": (1e-3, 3e-3, 0.01, 0.03, 0.1),
    "adadelta": (1e-3, 0.1, 0.3, 1.0, 3.0),
    "adam": (1e-5, 1e-4, 3e-4, 1e-3, 3e-3),
    "ftrl": (0.01, 0.03, 0.1, 0.3, 1.0),
    "rmsprop": (1e-5, 1e-4, 3e-4, 1e-3, 3e-3),
}

#: Optimizers that are tried on the waves in the reading nearest to the published run.
SINGLE_STEP_OPTIMIZERS = ("adam", "sgd", "momentum", "rmsprop")

#: Squared error of predicting the mean of the waves, the sum of their variances: (25 + 100 + 49 + 196) / 2.
WAVES_VARIANCE = 185.0


#: A row of the table: experiment, published figure, figure measured here, verdict.
Row = tuple[str, str, str, str]


def descent_rows(seeds: int) -> Iterator[Row]:
    """Yields a row for each rate from the course's start, and the minima in which other starts end."""
    published = {0.01: "hardly moves", 1.0: "goes down to a local minimum", 500.0: "goes up and down"}
    nearest = descent.minima()[-1]  # to the start, downhill
    bottom = np.sin(10 * nearest) * np.exp(-nearest)
    for is_sampled in (True, False):
        problem = descent.make_problem(descent.DescentConfig(is_sampled=is_sampled))
        for rate, claim in published.items():
            result = minimize(
                problem,
                make_optimizer("sgd", learning_rate=rate),
                key=jax.random.key(0),
                num_steps=DESCENT_STEPS,
                params=jnp.array([DESCENT_START]),
            )
            f = result.trace.terms["f"]
            rises = np.mean(np.diff(f) > 0)
            way = (f[0] - f) / (f[0] - bottom)
            agrees = {0.01: way[-1] < 0.05, 1.0: rises == 0 and way[-1] > 0.9, 500.0: rises > 0.1}
            measured = (
                f"place {DESCENT_START:g} to {float(result.params[0]):.1f}, f {f[0]:.3f} to {f[-1]:.3f}, "
                f"lowest {f.min():.3f}, rises in {100 * rises:.0f} % of the steps"
            )
            reading = "linear between samples" if is_sampled else "smooth"
            yield (f"descent, rate {rate:g}, {reading}", claim, measured, _verdict(agrees[rate]))
    for dimensions in (1, 2):
        yield _minima_row(dimensions, 20 * seeds)


def _minima_row(dimensions: int, count: int) -> Row:
    problem = descent.make_problem(descent.DescentConfig(dimensions=dimensions))
    rate = 30.0  # below 2 / f'' everywhere, so that each run settles
    results, _ = follow([problem] * count, "sgd", [rate] * count, num_steps=DESCENT_STEPS)
    ends = np.stack([descent.position(np.asarray(result.params)) for result in results])
    places = np.append(descent.minima(), descent.HIGH)  # the right end is a minimum as well
    nearest = places[np.argmin(np.abs(ends[..., None] - places), axis=-1)]
    off = np.abs(ends - nearest).max()
    shares = [f"{np.mean(nearest[:, 0] == x):.2f} at x = {x:.3f}" for x in places]
    lowest = np.mean(np.all(nearest == places[0], axis=1))
    measured = (
        f"{count} starts; first coordinate: {', '.join(shares)} (at most {off:.1g} off); "
        f"in the lowest minimum of all: {lowest:.2f}"
    )
    return (
        f"descent in {dimensions}-D, rate {rate:g}",
        "ends in a local minimum, by where it began",
        measured,
        _verdict(len(np.unique(nearest[:, 0])) > 1),
    )


def regression_rows(seeds: int) -> Iterator[Row]:
    """Yields rows for the line, polynomials and the tanh layer, in every reading."""
    line = regression.RegressionConfig("line")
    errors = np.stack([result.trace.loss for result in _regress(line, 0.01, LINE_EPOCHS, seeds)[0]])
    settled = np.abs(np.diff(errors)) < regression.LEAST_CHANGE
    stops = np.where(settled.any(axis=1), settled.argmax(axis=1) + 1, LINE_EPOCHS)
    at_stop = errors[np.arange(seeds), stops]
    measured = f"{spread(at_stop)} after {stops.min()} to {stops.max()} epochs"
    yield ("line, rate 0.01, all points, stopped at a change < 1e-6", "0.408", measured, agree(at_stop, 0.408))
    yield ("line, the same, 500 epochs", "0.408", spread(errors[:, -1]), agree(errors[:, -1], 0.408))
    for degree, published in ((3, "wanders between 0.33 and 0.71"), (4, "runs off")):
        for batch_size in (regression.BATCH_SIZE, 0):
            for extra_bias in (0.0, 1.0):
                config = regression.RegressionConfig("polynomial", degree, batch_size=batch_size, extra_bias=extra_bias)
                yield _polynomial_row(config, published, seeds)
    for batch_size, deviation in ((regression.BATCH_SIZE, 0.1), (regression.BATCH_SIZE, 1.0), (0, 0.1), (0, 1.0)):
        config = regression.RegressionConfig("tanh", batch_size=batch_size, weight_deviation=deviation)
        last = _regress(config, 0.02, EPOCHS, seeds)[1]["error"][-1]
        what = f"tanh layer, rate 0.02, {_batches(config)}, weights of {deviation:g}, {EPOCHS} epochs"
        yield (what, "0.253", spread(last), agree(last, 0.253))


def _regress(config: regression.RegressionConfig, rate: float, epochs: int, seeds: int) -> Batch:
    """Runs gradient descent with other noise for each seed, scored after each epoch."""
    per_epoch = regression.POINTS // config.batch_size if config.batch_size else 1
    problems = [regression.make_problem(config, seed=seed) for seed in range(seeds)]
    return follow(
        problems,
        "sgd",
        [rate] * seeds,
        num_steps=epochs * per_epoch,
        score_at=[per_epoch * epoch for epoch in range(1, epochs + 1)],
        scores={"error": partial(regression.full_error, model=config.model)},
    )


def _polynomial_row(config: regression.RegressionConfig, published: str, seeds: int) -> Row:
    """Returns the row of a polynomial, from the errors of each tenth epoch.

    "Runs off" is taken to mean errors above that of predicting 0, in most of the epochs. The errors cannot become
    infinite, since the gradient of an absolute error is bounded.
    """
    errors = _regress(config, 0.02, EPOCHS, seeds)[1]["error"][::PRINTED]
    low, high = errors.min(axis=0), errors.max(axis=0)
    if config.degree == 3:  # both ends of what one run prints
        verdict = f"low {agree(low, 0.33)}, high {agree(high, 0.71)}"
    else:
        verdict = _verdict(np.median(errors) > np.abs(np.sin(np.linspace(-3, 3, 1000))).mean())
    extra = ", a second constant" if config.extra_bias else ""
    measured = f"each tenth epoch, lowest of a run {spread(low)}, highest {spread(high)}"
    return (f"degree {config.degree}, rate 0.02, {_batches(config)}{extra}", published, measured, verdict)


def _batches(config: regression.RegressionConfig) -> str:
    return f"batches of {config.batch_size}" if config.batch_size else "all points"


def painting_rows(seeds: int) -> Iterator[Row]:
    """Yields the astronaut's cost by epoch."""
    problem = painting.make_problem("astronaut")
    per_epoch = round(painting.SIZE**2 / painter.PainterConfig().batch_size)
    score_at = [epoch * per_epoch for epoch in painting.PUBLISHED_COSTS]
    _, scores = follow(
        [problem] * seeds,
        "adam",
        [1e-3] * seeds,
        num_steps=score_at[-1],
        score_at=score_at,
        scores={"cost": painter.full_cost},
    )
    for (epoch, published), costs in zip(painting.PUBLISHED_COSTS.items(), scores["cost"], strict=True):
        yield (f"painter, astronaut, epoch {epoch}", f"{published:g}", spread(costs), agree(costs, published))


def waves_rows(seeds: int) -> Iterator[Row]:
    """Yields a row for every optimizer on the LSTM, then whether Adam is best."""
    for through_time in (True, False):
        names = WAVES_RATES if through_time else SINGLE_STEP_OPTIMIZERS
        reading = "all steps of a sequence" if through_time else "one step at a time"
        make = partial(waves.make_problem, waves.WavesConfig(through_time=through_time))
        ends: dict[str, np.ndarray] = {}
        for name in names:
            rate, tuning, found = tune_and_score(
                make,
                name,
                WAVES_RATES[name],
                seeds,
                num_steps=WAVES_STEPS,
                every=WAVES_EVERY,
                scores={"error": waves.validation_loss},
                judge=lambda errors: errors[-1],
            )
            ends[name] = found["error"][-1]
            share = 100 * ends[name].mean() / WAVES_VARIANCE
            measured = f"{spread(ends[name])} at rate {rate:g} ({share:.2g} % of the variance); tuning {tuning}"
            claim = {"adam": "best at 6e-4", "sgd": "hopeless"}.get(name, "worse than Adam")
            yield (f"waves, {reading}, {name}", claim, measured, _waves_verdict(name, rate, ends))
        order = sorted(ends, key=lambda name: ends[name].mean())
        # Adam is tied with the best optimizer if that one's mean is inside the range of Adam's seeds.
        tied = ends["adam"].min() <= ends[order[0]].mean()
        verdict = (
            "reproduced" if order[0] == "adam" else f"{'tied with' if tied else 'not reproduced, behind'} {order[0]}"
        )
        yield (f"waves, {reading}", "Adam best", " < ".join(order), verdict)


def _waves_verdict(name: str, rate: float, ends: Mapping[str, np.ndarray]) -> str:
    """Returns the verdict of an optimizer; hopeless means above a tenth of what predicting the mean leaves."""
    if name == "adam":
        return "reproduced" if rate == waves.PUBLISHED_RATE else f"another rate: {rate:g}"
    times = f"{ends[name].mean() / ends['adam'].mean():.2g} times Adam's"
    return f"{_verdict(ends[name].mean() > 0.1 * WAVES_VARIANCE)}, {times}" if name == "sgd" else times


def stocks_rows(seeds: int) -> Iterator[Row]:
    """Yields a row for every optimizer on the generated market, then the readings of the claims on momentum."""
    floor = 1 - stocks.StocksConfig().strength ** 2
    yield ("stocks, known best and no prediction", "none", f"{floor:.3f} and 1", "")
    claims = {"adagrad": "promising", "adam": "promising", "ftrl": "promising", "rmsprop": "promising"}
    claims |= {"adadelta": "less so", "momentum": "diverges at 0.001"}
    scores = {
        "validation": stocks.validation_error,
        "test": lambda params, args: stocks.mean_error(params, args["test"], args["scale"]),
        "training": lambda params, args: stocks.mean_error(params, args["training"], args["scale"]),
    }
    bests = {}
    for name, rates in STOCKS_RATES.items():
        rate, tuning, found = tune_and_score(
            stocks.make_problem,
            name,
            rates,
            seeds,
            num_steps=STOCKS_STEPS,
            every=STOCKS_EVERY,
            scores=scores,
            judge=lambda errors: np.nanmin(errors, axis=0),
        )
        validation, training = found["validation"], found["training"]
        best = validation.argmin(axis=0)
        lanes = np.arange(seeds)
        measured = (
            f"rate {rate:g}: validation at best {spread(validation[best, lanes])} (epoch {np.median(best) + 1:.0f}), "
            f"test there {spread(found['test'][best, lanes])}; at the end validation "
            f"{spread(validation[-1])}, training {spread(training[-1], 2)}; tuning {tuning}"
        )
        bests[name] = validation[best, lanes].mean()
        over = (training[-1] < floor) & (validation[-1] > validation[best, lanes] + 0.005)
        yield (f"stocks, {name}", claims.get(name, "works"), measured, f"{over.sum()} of {seeds} over-fit")
    order = ", ".join(f"{name} {bests[name]:.3f}" for name in sorted(bests, key=bests.__getitem__))
    holds = all(bests[name] < bests["adadelta"] for name, claim in claims.items() if claim == "promising")
    yield ("stocks, validation at best", "adadelta behind those that promise", order, _verdict(holds))
    yield from _momentum_rows()
    yield from _adadelta_rows()


def _momentum_rows() -> Iterator[Row]:
    readings: dict[str, tuple[str, dict[str, Any]]] = {
        "rate 0.001, momentum 0.9": ("momentum", {"learning_rate": 1e-3, "momentum": 0.9}),
        "rate 0.01, momentum 0.001": ("momentum", {"learning_rate": 0.01, "momentum": 1e-3}),
        "gradient descent, rate 0.01": ("sgd", {"learning_rate": 0.01}),
    }
    for is_summed, scale in ((False, 1.0), (True, 0.02), (True, 1.0)):
        problem = stocks.make_problem(stocks.StocksConfig(is_summed=is_summed, scale=scale))
        loss = f"{'half the sum' if is_summed else 'mean'} of squares, changes of {scale:g}"
        for what, (name, options) in readings.items():
            result = minimize(problem, make_optimizer(name, **options), key=jax.random.key(0), num_steps=STOCKS_STEPS)
            error = float(stocks.validation_error(result.params, problem.args))
            measured = f"{result.status.name.lower()} after {len(result.trace.loss) - 1} steps, validation {error:.3g}"
            claim = "diverges" if name == "momentum" else "works"
            verdict = _verdict(result.status.has_failed == (name == "momentum"))
            yield (f"stocks, {what}, {loss}", claim, measured, verdict)


def _adadelta_rows() -> Iterator[Row]:
    problem = stocks.make_problem()
    for rate in (1e-3, 1.0):  # the default of the TensorFlow of that time, and the method as its author gave it
        optimizer = make_optimizer("adadelta", learning_rate=rate, rho=0.95)
        result = minimize(problem, optimizer, key=jax.random.key(0), num_steps=STOCKS_STEPS)
        training = result.trace.terms["squared_error"][-STOCKS_EVERY:].mean()
        measured = f"training error {training:.3g} at the end"
        yield (f"stocks, adadelta, rate {rate:g}", "less promising", measured, _verdict(training > 0.9))


def _verdict(holds: Any) -> str:
    return "reproduced" if holds else "not reproduced"


EXPERIMENTS: Mapping[str, Callable[[int], Iterator[Row]]] = {
    "descent": descent_rows,
    "regression": regression_rows,
    "painting": painting_rows,
    "waves": waves_rows,
    "stocks": stocks_rows,
}


def main(only: tuple[str, ...] = tuple(EXPERIMENTS), seeds: int = 10) -> None:
    """Runs the experiments and prints the table.

    Args:
        only: Names of experiments.
        seeds: Runs of each row.
    """
    chosen = [EXPERIMENTS[check_choice("--only", name, EXPERIMENTS)] for name in only]
    rows = (row for experiment in chosen for row in experiment(seeds))
    print_table(("experiment", "published", "measured here", "verdict"), rows)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.teaching", __doc__)
