"""The meta-trainer: what it tries, how it scores, how schedules come about, and, where Ray is, a whole search."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.__main__ import main
from benchmarks.meta import Tune
from benchmarks.meta.outcomes import FAILED, TrialOutcome, best_of, markdown, settings_of, table
from benchmarks.meta.space import MEMORY, NOISE_BLEND, RATE_FACTOR, SHORTLIST, Candidate, sample
from benchmarks.meta.trials import Runner, best_within, extend_schedule, save, style_transfer_of
from benchmarks.methods import DECAY
from jaxstyle.checks import InputError
from jaxstyle.optimize.configured import schedule_of
from jaxstyle.optimize.loop import minimize
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer, real_options
from jaxstyle.optimize.records import Result
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem
from jaxstyle.run_config import AUTO

from ..conftest import make_tiny_network
from ..refusals import assert_refused

SIZE, SEED = 32, 3


def make_picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((SIZE, SIZE, 3), np.float32)


def make_hollow(noise_blend: float | None) -> Problem:
    """A quadratic of pixels with curvatures from 0.1 to 10."""
    target, curvatures = jnp.asarray(255 * make_picture(2)), jnp.logspace(-1, 1, SIZE)[:, None, None]
    noise = 1.0 if noise_blend is None else noise_blend

    def loss(pixels: jax.Array, args: tuple, key: jax.Array) -> tuple[jax.Array, dict]:
        value = jnp.mean(args[1] * (pixels - args[0]) ** 2)
        return value, {"value": value}

    def start(key: jax.Array) -> jax.Array:
        return (1 - noise) * 255 * jnp.asarray(make_picture(0)) + noise * jax.random.normal(key, (SIZE, SIZE, 3))

    return Problem("hollow", start, loss, (target, curvatures), lambda pixels, args: pixels / 255)


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner(make_hollow, SIZE, SIZE, SEED)


def minimize_hollow(optimizer: optax.GradientTransformation, num_steps: int, noise_blend: float = 1.0) -> Result:
    return minimize(make_hollow(noise_blend), optimizer, key=jax.random.key(SEED), num_steps=num_steps)


def test_main_decays_are_those_of_the_papers():
    names = {"adam": "b1", "momentum": "momentum", "rmsprop": "decay", "adadelta": "rho", "sgd": None, "lbfgs": None}
    assert {name: OPTIMIZERS[name].decay or None for name in names} == names
    assert OPTIMIZERS["polyak_sgd"].rate == "max_learning_rate"
    assert OPTIMIZERS["lbfgs"].rate == ""


def test_a_sample_is_fair_and_within_the_space():
    made_of = ("pixels", "preconditioned")
    candidates = sample(SHORTLIST, 20, made_of, 5)
    assert candidates == sample(SHORTLIST, 20, made_of, 5)
    assert candidates != sample(SHORTLIST, 20, made_of, 6)
    counts = [sum(candidate.optimizer == name for candidate in candidates) for name in SHORTLIST]
    assert sum(counts) == 20
    assert max(counts) - min(counts) <= 1
    for candidate in candidates:
        make_optimizer(candidate.optimizer, **candidate.all_options())
        assert candidate.parameterization in made_of
        assert candidate.noise_blend in NOISE_BLEND.choices
        assert RATE_FACTOR.low <= candidate.rate_factor <= RATE_FACTOR.high
    later = [candidate for candidate in candidates[len(SHORTLIST) :] if candidate.optimizer != "lbfgs"]
    assert all(DECAY.low <= min(each.options.values()) <= DECAY.high for each in later)
    assert all(each.options["memory_size"] in MEMORY.choices for each in candidates[6:] if each.optimizer == "lbfgs")
    # The second of each optimizer are one point: the same factor, start and unknowns.
    second = [(each.rate_factor, each.noise_blend, each.parameterization) for each in candidates[7:12]]
    assert len(set(second)) == 1


def test_the_first_of_each_optimizer_are_its_defaults_and_auto():
    first = {each.optimizer: each for each in sample(SHORTLIST, 6, ("pixels", AUTO.parameterization), 0)}
    for name in SHORTLIST:
        if name == AUTO.optimizer:
            assert first[name].parameterization == AUTO.parameterization
            assert first[name].noise_blend == AUTO.initial_noiseblend
            assert first[name].all_options().items() >= AUTO.options.items()
        else:
            assert first[name] == Candidate(name, parameterization="pixels", noise_blend=1.0)
            assert first[name].rate == pytest.approx(OPTIMIZERS[name].defaults["learning_rate"])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_real_options_can_be_arguments_of_a_program(name: str):
    spec = OPTIMIZERS[name]
    options = {key: value for key, value in spec.defaults.items() if key in (spec.rate, spec.decay)}
    traced = {**options, **Candidate(name).all_options()}
    assert set(traced) <= set(real_options(name))
    grad = jnp.array([0.1, -0.2, 0.3])

    def step(traced: dict) -> jax.Array:
        optimizer = optax.with_extra_args_support(make_optimizer(name, **traced))
        params = jnp.array([1.0, -2.0, 0.5])
        value_fn = lambda params: jnp.sum(params**2)
        return optimizer.update(
            grad, optimizer.init(params), params, value=jnp.float32(1), grad=grad, value_fn=value_fn
        )[0]

    assert jax.eval_shape(step, traced).shape == (3,)


def test_the_score_is_the_lowest_loss_within_the_budget():
    rng = np.random.default_rng(0)
    evaluations, losses = np.cumsum(rng.integers(1, 4, 50)), rng.random(50)
    losses[10] = np.nan
    for budget in (0, 1, 3, 20, 47, 1000):
        expected = math.inf
        for made, loss in zip(evaluations, losses, strict=True):
            if made <= budget and loss < expected:
                expected = loss
        assert best_within(evaluations, losses, budget) == expected


def test_a_schedule_is_the_rates_that_a_line_of_copies_ran_with():
    """Random lives of a population, with each step's rate written down beside it."""
    rng = np.random.default_rng(1)
    lives: list[tuple[tuple, list[float]]] = [((), []) for _ in range(5)]
    for _ in range(12):
        for place in range(5):
            if rng.random() < 0.4:
                lives[place] = lives[rng.integers(5)]
            schedule, rates = lives[place]
            rate, steps = float(rng.choice([0.5, 1.0, 2.0])), int(rng.integers(0, 4))
            lives[place] = (extend_schedule(schedule, len(rates), rate), rates + [rate] * steps)
    for schedule, rates in lives:
        assert len(rates) > 5
        steps = [step for step, _ in schedule]
        assert steps[0] == 0
        assert steps == sorted(set(steps))
        np.testing.assert_array_equal(jax.vmap(schedule_of(schedule))(jnp.arange(len(rates))), rates)


def test_a_trial_in_parts_is_a_run_in_one(runner: Runner):
    candidate = Candidate("adam", rate_factor=0.5)
    trial = runner.begin(candidate)
    for target in (1, 4, 11):
        trial = runner.advance(trial, candidate, target)
        assert trial.evaluations[-1] == target
    reference = minimize_hollow(optax.adam(5.0), 10)
    np.testing.assert_allclose(trial.losses, reference.trace.loss, rtol=1e-3)
    assert trial.steps == 10
    assert trial.loss == trial.losses.min()
    assert trial.schedule == ((0, 5.0),)


def test_the_score_is_the_default_objective():
    """Made and minimized without any of the meta-trainer, from a start that is half noise."""
    network, pictures = make_tiny_network(), (make_picture(0), [make_picture(1)])
    candidate = Candidate("adam", noise_blend=0.5)
    own = Runner(style_transfer_of(*pictures, network), SIZE, SIZE, SEED)
    trial = own.advance(own.begin(candidate), candidate, 6)
    problem = make_problem(StyleTransferConfig(noise_blend=0.5), network, *pictures)
    reference = minimize(problem, optax.adam(10.0), key=jax.random.key(SEED), num_steps=5)
    np.testing.assert_allclose(trial.losses, reference.trace.loss, rtol=1e-3)


def test_rates_that_change_are_a_schedule_that_can_be_replayed(runner: Runner):
    slow, fast = Candidate("sgd", rate_factor=3e4), Candidate("sgd", rate_factor=9e4)
    trial = runner.begin(slow)
    for candidate, target in ((slow, 5), (fast, 8), (slow, 13)):
        trial = runner.advance(trial, candidate, target)
    # n evaluations are n - 1 steps, so the rates change at steps 4 and 7.
    assert trial.schedule == ((0, slow.rate), (4, fast.rate), (7, slow.rate))
    piecewise = optax.piecewise_constant_schedule(slow.rate, {4: 3.0, 7: 1 / 3})
    reference = minimize_hollow(optax.sgd(piecewise), 12)
    np.testing.assert_allclose(trial.losses, reference.trace.loss, rtol=1e-3)
    outcome = TrialOutcome("a", slow, trial.loss, 13, trial.steps, trial.schedule, "complete")
    settings = settings_of(outcome, {})
    assert settings.iterations == 12
    assert "learning_rate" not in settings.options
    assert runner.replay(settings) == pytest.approx(reference.best_loss, rel=1e-3)


def test_a_line_search_is_scored_by_evaluations(runner: Runner):
    candidate = Candidate("lbfgs", options={"memory_size": 5}, noise_blend=0.0)
    trial = runner.advance(runner.begin(candidate), candidate, 15)
    reference = minimize_hollow(make_optimizer("lbfgs", memory_size=5), 15, noise_blend=0.0).trace
    within = reference.evaluations <= 15
    assert within.sum() < 15  # it does spend more than one on a step
    assert trial.steps == within.sum() - 1
    assert trial.loss == pytest.approx(reference.loss[within].min(), rel=1e-3)
    assert trial.schedule == ()


def test_a_trial_that_was_put_away_goes_on_as_if_nothing_had_happened(runner: Runner, tmp_path: Path):
    candidate = Candidate("adam", 0.3, {"b1": 0.8}, "fourier")
    trial = runner.advance(runner.begin(candidate), candidate, 6)
    save(tmp_path / "trial.npz", trial)
    restored = runner.restore(tmp_path / "trial.npz", candidate)
    one, other = (runner.advance(each, candidate, 12) for each in (trial, restored))
    np.testing.assert_array_equal(one.losses, other.losses)
    assert (one.schedule, one.reached, one.loss) == (other.schedule, other.reached, other.loss)
    # What was copied goes on with another learning rate.
    faster = replace(candidate, rate_factor=0.6)
    copied = runner.advance(runner.restore(tmp_path / "trial.npz", faster), faster, 12)
    assert copied.schedule == ((0, 3.0), (5, 6.0))
    np.testing.assert_array_equal(copied.losses[:6], one.losses[:6])
    assert copied.losses[6] != one.losses[6]


def test_a_run_that_diverges_has_no_score(runner: Runner):
    candidate = Candidate("sgd", rate_factor=1e7)
    trial = runner.advance(runner.begin(candidate), candidate, 60)
    assert trial.status.has_failed
    assert trial.loss == math.inf


def test_outcomes_are_ranked_and_nothing_vanishes():
    adam, lbfgs, sgd = Candidate("adam", 2.0, {"b1": 0.5}), Candidate("lbfgs"), Candidate("sgd")
    outcomes = [
        TrialOutcome("a", adam, 5.0, 30, 29, ((0, 20.0),), "complete"),
        TrialOutcome("b", adam, 4.0, 10, 9, ((0, 20.0), (5, 10.0), (9, 1.0)), "stopped"),
        TrialOutcome("c", lbfgs, 4.5, 30, 21, (), "converged"),
        TrialOutcome("d", sgd, FAILED, 10, 9, ((0, 1.0),), "diverged"),
        TrialOutcome("e", sgd, status="error"),
    ]
    assert best_of(outcomes).trial == "b"
    rows = table(outcomes)
    assert [(row["optimizer"], row["loss"]) for row in rows] == [("adam", 4.0), ("lbfgs", 4.5), ("sgd", None)]
    assert [row["trials"] for row in rows] == [
        {"complete": 1, "stopped": 1},
        {"converged": 1},
        {"diverged": 1, "error": 1},
    ]
    assert rows[0]["options"] == {"learning_rate": 20.0, "b1": 0.5}
    lines = markdown(rows).splitlines()
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1
    settings = settings_of(outcomes[1], {"x": 1})
    assert settings.schedule == ((0, 20.0), (5, 10.0))  # the last rate was never used
    assert settings.options == {"b1": 0.5}
    assert (settings.iterations, settings.initial_noiseblend, settings.provenance) == (9, 1.0, {"x": 1})
    assert settings_of(outcomes[0], {}).options == {"learning_rate": 20.0, "b1": 0.5}
    with pytest.raises(InputError, match="none \\(diverged, error\\)"):
        best_of(outcomes[3:])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--engine", "grid"], "--engine"),
        (["--optimizers", "adamm"], "did you mean 'adam'"),
        (["--engine", "pbt", "--optimizers", "lbfgs"], "a learning rate at every step"),
        (["--engine", "pbt", "--optimizers", "rprop"], "a learning rate at every step"),
        (["--engine", "pbt", "--optimizers", "adam", "--trials", "3"], "--trials between 4"),
        (["--trials", "5"], "--trials between 6"),
        (["--budget", "5"], "--budget"),
        (["--width", "8"], "at least 16x16 pixels"),
        (["--parameterizations", "network"], "--parameterizations"),
        (["--jobs", "2", "--address", "auto"], "--jobs or --address"),
        (["--scratch", "nowhere"], "--scratch"),
        (["--content", "nowhere.png"], "nowhere.png"),
    ],
)
def test_what_cannot_be_used_is_refused(flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    given = ["--content", "sample:chelsea", "--styles", "sample:waves", "--output", str(tmp_path / "best.json")]
    assert_refused(lambda: main(["tune", *given, *flags]), tmp_path, capsys, message, start="benchmarks: ")


def test_without_ray_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "benchmarks.meta.engine", raising=False)
    if "engine" in vars(sys.modules["benchmarks.meta"]):
        monkeypatch.delattr(sys.modules["benchmarks.meta"], "engine")
    command = Tune(content="sample:chelsea", styles=("sample:waves",), width=32, output=str(tmp_path / "best.json"))
    with pytest.raises(InputError, match=r"jaxstyle\[tune\]"):
        command.run()
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.parametrize("engine", ["asha", "pbt"])
def test_a_search_finds_settings_that_can_be_replayed(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray", reason="needs the extra `tune`")
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    for folder in (home, scratch):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    from benchmarks.meta.engine import PARTS, SearchTask, next_target, search

    task = SearchTask(make_picture(0), [make_picture(1)], SEED, 40, engine, make_tiny_network())
    optimizers = ("adam", "sgd") if engine == "pbt" else ("adam", "lbfgs")
    told: list[int] = []
    found = search(
        task,
        sample(optimizers, 6, ("pixels",), 0),
        jobs=2,
        scratch=str(scratch),
        report=lambda outcomes, evaluations: told.append(evaluations),
    )
    assert not found.error
    assert len({outcome.trial for outcome in found.outcomes}) == 6
    assert told[-1] == found.evaluations
    # A copy goes on where its model was, before or behind.
    assert 40 <= found.evaluations <= 6 * 40 * (2 if engine == "pbt" else 1)
    reached, ends = 0, []
    while reached < task.budget:
        reached = next_target(reached, task.budget, PARTS[engine])
        ends.append(reached)
    assert len(ends) == PARTS[engine]
    assert all(outcome.evaluations in ends for outcome in found.outcomes)
    best = best_of(found.outcomes)
    assert best.status in ("complete", "stopped")
    replayed = task.runner().replay(settings_of(best, {}))
    assert replayed == pytest.approx(best.loss, rel=0.02)
    assert not list(scratch.iterdir())
    assert not list(home.iterdir())
