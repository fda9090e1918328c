"""One program for any number of runs: what each gives is what it would have given alone."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import optax
import pytest

from jaxstyle.checks import InputError
from jaxstyle.memory import DoesNotFitError
from jaxstyle.optimize import many
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.many import Task, choose_batch, minimize_many
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.optimize.records import Progress, Result, Status, StopRule
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem

from ..conftest import make_wave_picture
from ..toys import TARGET, make_bowl, make_rosenbrock


def move(problem: Problem, change: float) -> Problem:
    """The same bowl elsewhere: other arguments of the same program."""
    return replace(problem, args=jax.tree.map(lambda leaf: leaf + change, TARGET))


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs each program was compiled for."""
    found: list[int] = []
    run, batch = many.compile_run, many.compile_batch

    def count_run(*args, **kwargs):
        found.append(1)
        return run(*args, **kwargs)

    def count_batch(problems, *args, **kwargs):
        found.append(len(problems))
        return batch(problems, *args, **kwargs)

    monkeypatch.setattr(many, "compile_run", count_run)
    monkeypatch.setattr(many, "compile_batch", count_batch)
    return found


CHANGES = (0.0, 0.5, 1.0, 1.5, 2.0)


def make_sgd(learning_rate: float) -> optax.GradientTransformation:
    return make_optimizer("sgd", learning_rate=learning_rate)


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    bowl, rates = make_bowl(), (0.1, 0.2, 0.3, 0.4, 1e20)
    return [
        Task(lambda change=change: move(bowl, change), jax.random.key(0), {"learning_rate": rate}, StopRule(0.01, 20))
        for rate, change in zip(rates, CHANGES, strict=True)
    ]


@pytest.fixture(scope="module")
def alone(tasks: list[Task]) -> list[Result]:
    return [
        minimize(task.make_problem(), make_sgd, key=task.key, num_steps=40, options=task.options, stop=task.stop)
        for task in tasks
    ]


@pytest.mark.parametrize(("batch", "programs"), [(0, [1]), (3, [3]), (4, [3]), (100, [5])])
def test_runs_are_what_they_would_be_alone(
    compilations: list[int], tasks: list[Task], alone: list[Result], batch: int, programs: list[int]
):
    told: dict[int, list[int]] = {}

    def tell(index: int, problem: Problem, progress: Progress) -> None:
        assert problem.args["a"][0] == TARGET["a"][0] + CHANGES[index]
        told.setdefault(index, []).append(progress.step)

    results = list(minimize_many(tasks, make_sgd, num_steps=40, batch=batch, report_at=[17], callback=tell))
    assert compilations == programs
    for single, (_, result) in zip(alone, results, strict=True):
        np.testing.assert_allclose(result.trace.loss, single.trace.loss, rtol=1e-5)
        assert result.status == single.status
        assert result.best_terms == pytest.approx(single.best_terms, rel=1e-4, abs=1e-6)
    assert results[4][1].status == Status.NOT_FINITE
    assert [17 in told[index] for index in range(5)] == [len(result.trace.loss) > 17 for _, result in results]
    assert [result.compile_seconds > 0 for _, result in results] == [True, False, False, False, False]


def test_an_end_asked_for_ends_all(compilations: list[int]):
    tasks = [Task(make_bowl, jax.random.key(0)) for _ in range(5)]
    for batch, expected in ((1, 2), (2, 2)):
        results = list(
            minimize_many(
                tasks,
                make_optimizer("adam"),
                num_steps=20,
                batch=batch,
                report_at=[4],
                callback=lambda index, problem, progress: index == 1 and progress.step >= 4,
            )
        )
        assert len(results) == expected
        assert results[1][1].status == Status.INTERRUPTED
        assert len(results[1][1].trace.loss) == 5


def test_a_batch_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch, compilations: list[int]):
    compile_batch = many.compile_batch

    def refuse(problems, *args, **kwargs):
        if len(problems) > 3:
            raise DoesNotFitError("a program of at most 1 GB, the free memory", "one of 2 GB")
        return compile_batch(problems, *args, **kwargs)

    monkeypatch.setattr(many, "compile_batch", refuse)
    tasks = [Task(make_bowl, jax.random.key(seed)) for seed in range(7)]
    assert len(list(minimize_many(tasks, make_optimizer("adam"), num_steps=3, batch=7))) == 7
    assert compilations == [2]  # 7 and 4 were refused


def test_unequal_problems_and_no_problems():
    tasks = [Task(make, jax.random.key(0)) for make in (make_bowl, make_rosenbrock)]
    with pytest.raises(InputError, match="group them"):
        list(minimize_many(tasks, make_optimizer("adam"), num_steps=1))
    assert list(minimize_many([], make_optimizer("adam"), num_steps=1)) == []


def test_a_batch_is_chosen_by_size_but_on_a_cpu_and_for_line_searches(
    monkeypatch: pytest.MonkeyPatch, tiny_network: dict
):
    config = StyleTransferConfig(content_layers={"relu1_1": 1.0}, style_layers={"relu1_1": 1.0})
    problem = make_problem(config, tiny_network, make_wave_picture(256, 256, 0.0), [make_wave_picture(16, 16, 0.0)])
    task, adam = Task(lambda: problem, jax.random.key(0), {"learning_rate": 1.0}), partial(make_optimizer, "adam")
    assert choose_batch(task, problem, adam, 100) == 1
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert choose_batch(task, problem, adam, 100) == 16
    assert choose_batch(task, problem, adam, 5) == 5
    assert choose_batch(task._replace(options=None), problem, make_optimizer("lbfgs"), 100) == 1
