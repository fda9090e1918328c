"""One program for any number of runs: what each gives is what it would have given alone."""

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest

from jaxstyle.checks import InputError
from jaxstyle.memory import DoesNotFitError
from jaxstyle.optimize import loop
from jaxstyle.optimize.batch import Task, choose_batch, minimize_many
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.optimize.records import Progress, Result, Status, StopRule
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem

from ..conftest import make_wave_picture
from ..toys import TARGET, make_bowl, make_rosenbrock


def move(problem: Problem, change: float) -> Problem:
    """The same bowl elsewhere: other arguments of the same program."""
    return replace(problem, args=jax.tree.map(lambda leaf: leaf + change, TARGET))


CHANGES = (0.0, 0.5, 1.0, 1.5, 2.0)


def make_sgd(learning_rate: float) -> optax.GradientTransformation:
    return make_optimizer("sgd", traced=["learning_rate"], learning_rate=learning_rate)


def sizes_of(compilations: list[str]) -> list[str]:
    """Which programs of runs were compiled: for one run, or for a batch."""
    return [name for name in compilations if name.startswith("take_steps")]


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    bowl, rates = make_bowl(), (0.1, 0.2, 0.3, 0.4, 1e20)
    return [
        Task(lambda change=change: move(bowl, change), jax.random.key(0), make_sgd(rate), StopRule(0.01, 20))
        for rate, change in zip(rates, CHANGES, strict=True)
    ]


@pytest.fixture(scope="module")
def alone(tasks: list[Task]) -> list[Result]:
    return [minimize(task.make_problem(), task.optimizer, key=task.key, num_steps=40, stop=task.stop) for task in tasks]


@pytest.mark.parametrize(("batch_size", "size"), [(0, 1), (3, 3), (4, 3), (100, 5)])
def test_runs_are_what_they_would_be_alone(
    compilations: list[str], tasks: list[Task], alone: list[Result], batch_size: int, size: int
):
    reported: dict[int, list[int]] = {}

    def report(index: int, problem: Problem, progress: Progress) -> None:
        assert problem.args["a"][0] == TARGET["a"][0] + CHANGES[index]
        reported.setdefault(index, []).append(progress.step)

    results = list(minimize_many(tasks, num_steps=40, batch=batch_size, report_at=[17], callback=report))
    assert sizes_of(compilations) == ["take_steps" if size == 1 else "take_steps_of_all"]
    batches = -(-len(tasks) // size)
    seconds = [result.run_seconds for _, result in results]
    assert len(set(seconds)) == batches  # of a batch's time, each has its share
    for single, (_, result) in zip(alone, results, strict=True):
        np.testing.assert_allclose(result.trace.loss, single.trace.loss, rtol=1e-5)
        assert result.status == single.status
        assert result.best_terms == pytest.approx(single.best_terms, rel=1e-4, abs=1e-6)
    assert results[4][1].status == Status.NOT_FINITE
    assert [17 in reported[index] for index in range(5)] == [len(result.trace.loss) > 17 for _, result in results]
    assert [result.compile_seconds > 0 for _, result in results] == [True, False, False, False, False]


def test_an_end_asked_for_ends_all():
    tasks = [Task(make_bowl, jax.random.key(0), make_optimizer("adam")) for _ in range(5)]
    for batch_size, expected in ((1, 2), (2, 2)):
        results = list(
            minimize_many(
                tasks,
                num_steps=20,
                batch=batch_size,
                report_at=[4],
                callback=lambda index, problem, progress: index == 1 and progress.step >= 4,
            )
        )
        assert len(results) == expected
        assert results[1][1].status == Status.INTERRUPTED
        assert len(results[1][1].trace.loss) == 5


def test_a_batch_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch, compilations: list[str]):
    compile_to_fit, sizes = loop.compile_to_fit, []

    def refuse(function, states, *args):
        sizes.append(len(states.step))
        if sizes[-1] > 3:
            raise DoesNotFitError("a program of at most 1 GB, the free memory", "one of 2 GB")
        return compile_to_fit(function, states, *args)

    monkeypatch.setattr(loop, "compile_to_fit", refuse)
    tasks = [Task(make_bowl, jax.random.key(seed), make_optimizer("adam")) for seed in range(7)]
    assert len(list(minimize_many(tasks, num_steps=3, batch=7))) == 7
    assert sizes == [7, 4, 2]
    assert sizes_of(compilations) == ["take_steps_of_all"]


def test_unequal_problems_and_no_problems():
    tasks = [Task(make, jax.random.key(0), make_optimizer("adam")) for make in (make_bowl, make_rosenbrock)]
    with pytest.raises(InputError, match="group them"):
        list(minimize_many(tasks, num_steps=1))
    assert list(minimize_many([], num_steps=1)) == []


def test_a_batch_is_chosen_by_size_but_on_a_cpu_and_for_line_searches(
    monkeypatch: pytest.MonkeyPatch, tiny_network: dict
):
    config = StyleTransferConfig(content_layers={"relu1_1": 1.0}, style_layers={"relu1_1": 1.0})
    problem = make_problem(config, tiny_network, make_wave_picture(256, 256, 0.0), [make_wave_picture(16, 16, 0.0)])
    adam = make_optimizer("adam")
    assert choose_batch(problem, adam, 100) == 1
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert choose_batch(problem, adam, 100) == 16
    assert choose_batch(problem, adam, 5) == 5
    assert choose_batch(problem, make_optimizer("lbfgs"), 100) == 1
