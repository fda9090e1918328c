"""A batch must give what single runs give, and share what is the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxstyle.checks import InputError
from jaxstyle.optimize.batch import minimize_batch, stack_shared
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import make_optimizer
from jaxstyle.optimize.programs import ProgramCache
from jaxstyle.optimize.records import Progress, Status, StopRule
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem
from jaxstyle.vgg import module as vgg

from ..conftest import make_wave_picture
from ..toys import make_bowl, make_rosenbrock


def test_leaves_that_are_the_same_object_are_shared():
    shared = jnp.arange(3.0)
    stacked, axes = stack_shared([{"a": shared, "b": jnp.zeros(2)}, {"a": shared, "b": jnp.ones(2)}])
    assert axes == {"a": None, "b": 0}
    assert stacked["a"] is shared
    np.testing.assert_array_equal(stacked["b"], [[0, 0], [1, 1]])


def test_axes_say_what_is_stacked():
    shared = jnp.arange(3.0)
    stacked, axes = stack_shared([{"a": shared, "b": {"c": shared}}] * 2, {"a": None, "b": 0})
    assert axes == {"a": None, "b": {"c": 0}}
    assert stacked["b"]["c"].shape == (2, 3)
    with pytest.raises(InputError, match="one array that all runs"):
        stack_shared([{"a": jnp.zeros(2)}, {"a": jnp.zeros(2)}], {"a": None})


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_pictures_weights_and_seeds_in_one_program(tiny_network: dict, name: str):
    network = vgg.freeze(tiny_network)
    contents = [make_wave_picture(16, 20, phase) for phase in (0.0, 1.0, 2.0)]
    configs = [StyleTransferConfig(style_weight=weight) for weight in (100.0, 500.0, 500.0)]
    style = make_wave_picture(16, 16, 2.1)
    problems = [make_problem(c, network, p, [style]) for c, p in zip(configs, contents, strict=True)]
    keys = [jax.random.key(seed) for seed in (0, 1, 1)]
    batch = minimize_batch(problems, make_optimizer(name), keys=keys, num_steps=8)
    for problem, key, result in zip(problems, keys, batch, strict=True):
        single = minimize(problem, make_optimizer(name), key=key, num_steps=8)
        np.testing.assert_allclose(result.trace.loss, single.trace.loss, rtol=2e-2)
        assert result.best_terms == pytest.approx(single.best_terms, rel=2e-2)
        np.testing.assert_array_equal(result.trace.evaluations[0], 1)
    assert batch[1].best_loss != batch[2].best_loss


def test_hyper_parameters_in_one_program_end_each_in_its_own_way():
    problem, key = make_rosenbrock(), jax.random.key(0)
    rates = (1e-3, 10.0, 1e-6)
    batch = minimize_batch(
        [problem] * 3,
        [make_optimizer("sgd", traced=["learning_rate"], learning_rate=rate) for rate in rates],
        keys=[key] * 3,
        num_steps=40,
        stop=StopRule(relative_delta=0.01, patience=5),
    )
    assert batch[1].status == Status.NOT_FINITE
    for rate, result in zip(rates, batch, strict=True):
        optimizer = make_optimizer("sgd", learning_rate=rate)
        single = minimize(problem, optimizer, key=key, num_steps=40, stop=StopRule(0.01, 5))
        assert result.status == single.status
        assert len(result.trace.loss) == len(single.trace.loss)
        np.testing.assert_allclose(result.trace.loss, single.trace.loss, rtol=1e-4)
        np.testing.assert_allclose(result.best_params, single.best_params, rtol=1e-4)


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_chunks_change_nothing_and_one_program_serves_several_batches(name: str):
    runs, keys = [make_rosenbrock()] * 3, [jax.random.key(seed) for seed in range(3)]
    programs = ProgramCache()
    whole = minimize_batch(runs, make_optimizer(name), keys=keys, num_steps=30, programs=programs)
    reported: list[int] = []

    def report(progress: Progress) -> None:
        alone = progress.of(1)
        assert alone.step == progress.step
        assert float(alone.state.loss) == alone.infos.loss[-1]
        reported.append(progress.step)

    often: dict = {"report_every": [7], "report_at": [9], "callback": report}
    for _ in range(2):
        reported.clear()
        runs = [make_rosenbrock()] * 3
        parts = minimize_batch(runs, make_optimizer(name), keys=keys, num_steps=30, programs=programs, **often)
        assert {7, 9, 14, 21, 28, 30} <= set(reported)
        for one, other in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(one.trace.loss, other.trace.loss)
            assert one.best_terms == pytest.approx(other.best_terms, rel=1e-5, abs=1e-12)
            assert other.compile_seconds == 0 < one.compile_seconds


def test_the_callback_ends_all_runs():
    problem = make_bowl()
    keys = [jax.random.key(0)] * 2
    results = minimize_batch(
        [problem] * 2,
        make_optimizer("adam"),
        keys=keys,
        num_steps=50,
        report_at=[5],
        callback=lambda progress: progress.step >= 5,
    )
    assert [result.status for result in results] == [Status.INTERRUPTED] * 2
    assert [len(result.trace.loss) for result in results] == [6, 6]


def test_every_run_has_its_own_stop_rule():
    problem = make_bowl()
    stops = [StopRule(0.9, 3), None]
    results = minimize_batch(
        [problem] * 2,
        make_optimizer("adam", learning_rate=0.01),
        keys=[jax.random.key(0)] * 2,
        num_steps=30,
        stop=stops,
    )
    assert [result.status for result in results] == [Status.CONVERGED, Status.BUDGET_SPENT]
    assert len(results[0].trace.loss) == 4


def test_bad_input():
    problem, key = make_rosenbrock(), jax.random.key(0)
    with pytest.raises(InputError, match="one for each"):
        minimize_batch([problem], make_optimizer("adam"), keys=[key] * 2, num_steps=1)
    unequal = [make_optimizer("adam", b1=b1) for b1 in (0.5, 0.9)]
    with pytest.raises(InputError, match="traced hyper-parameters only"):
        minimize_batch([problem] * 2, unequal, keys=[key] * 2, num_steps=1)
    with pytest.raises(InputError, match="equal in size"):
        stack_shared([jnp.zeros(2), jnp.zeros(3)])
    with pytest.raises(InputError, match="same layers"):
        stack_shared([{"a": 1.0}, {"b": 1.0}])
