"""Trials of candidates: runs that go on from one number of evaluations to the next, and can be put away and taken up.

The learning rate and every other real number is an argument of the compiled program, so that all candidates of one
optimizer (and one parameterization) run the same program. No engine is here: `benchmarks.meta.engine` has that.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.meta.space import Candidate
from jaxstyle.optimize.loop import CHUNK_CAPACITY, Program, compile_run, minimize, stop_arrays
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer
from jaxstyle.optimize.records import LoopState, Status, StopRule
from jaxstyle.optimize.settings import Settings
from jaxstyle.problems.parameterizations import apply_parameterization
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem, with_weights
from jaxstyle.types import NetworkParams, Picture
from jaxstyle.vgg.weights import load_network

#: Pairs of a step and the learning rate from there on.
Schedule = tuple[tuple[int, float], ...]


class Trial(NamedTuple):
    """How a candidate's run stands.

    Attributes:
        state: The loop's.
        evaluations: Evaluations of value and gradient at each step, since the first one.
        losses: At each of these.
        schedule: Learning rates that it ran with, those of the runs that it was copied from included.
        reached: The number of evaluations it was last sent to.
    """

    state: LoopState
    evaluations: np.ndarray
    losses: np.ndarray
    schedule: Schedule
    reached: int

    @property
    def status(self) -> Status:
        """How the run stands."""
        return Status(int(self.state.status))

    @property
    def steps(self) -> int:
        """Updates within the evaluations it was sent to; a line search may have gone beyond."""
        return max(int(np.sum(self.evaluations <= self.reached)) - 1, 0)

    @property
    def loss(self) -> float:
        """The lowest loss within the evaluations it was sent to; infinite for a run that failed."""
        return np.inf if self.status.has_failed else best_within(self.evaluations, self.losses, self.reached)


#: `make(noise_blend)`: a problem of pixels, from a start with that share of noise; its loss is always the same.
ProblemMaker = Callable[[float | None], Problem]


def style_transfer_of(
    content: Picture, styles: Sequence[Picture], network: NetworkParams | None = None
) -> ProblemMaker:
    """Returns the maker of the problem that scores all trials: style transfer with the default objective.

    Args:
        content: `[height, width, 3]` in [0, 1].
        styles: Pictures.
        network: The network that gives the features; the one that ships, if left out.
    """
    network = load_network().params if network is None else network
    mean = jnp.asarray(network["mean"])
    base = make_problem(StyleTransferConfig(), network, content, styles)

    def make(noise_blend: float | None) -> Problem:
        config = StyleTransferConfig(noise_blend=noise_blend)
        return with_weights(base, config, mean=mean, start=content, is_given=False)

    return make


class Runner:
    """Runs trials of one problem of pictures.

    Args:
        make: Makes it.
        height: Height of the picture.
        width: Width of the picture.
        seed: Seed of the noise; the same for all trials.
    """

    def __init__(self, make: ProblemMaker, height: int, width: int, seed: int) -> None:
        self._make, self._size = make, (height, width)
        self._args = make(None).args
        self._key = jax.random.key(seed)
        self._programs: dict[Any, Program] = {}

    def problem(self, parameterization: str, noise_blend: float | None) -> Problem:
        """Returns the problem in a parameterization, from a start."""
        return apply_parameterization(self._make(noise_blend), parameterization, *self._size)

    def begin(self, candidate: Candidate) -> Trial:
        """Returns a trial before its first evaluation."""
        problem = self.problem(candidate.parameterization, candidate.noise_blend)
        init_key, run_key = jax.random.split(self._key)  # as `minimize` does
        traced, _ = split_options(candidate.optimizer, candidate.all_options())
        state = self._program(candidate).loop.init(problem.init_fn(init_key), run_key, traced)
        return Trial(state, np.zeros(0, np.int64), np.zeros(0), (), 0)

    def advance(self, trial: Trial, candidate: Candidate, target: int) -> Trial:
        """Returns the trial after it has made `target` evaluations in all, or has ended.

        Args:
            trial: A trial of this candidate, or of one that differs in its learning rate alone. It is gone afterwards.
            candidate: Its learning rate holds from here on.
            target: Evaluations since the start.
        """
        program = self._program(candidate)
        fixed = (self._args, stop_arrays(StopRule(max_evaluations=target)))
        traced, _ = split_options(candidate.optimizer, candidate.all_options())
        options = {name: jnp.asarray(value, jnp.float32) for name, value in traced.items()}
        state, parts = trial.state._replace(options=options), []
        schedule = trial.schedule
        if candidate.rate is not None:
            schedule = extend_schedule(schedule, max(int(state.step), 0), candidate.rate)
        if int(state.status) == Status.BUDGET_SPENT:  # of an earlier target
            state = state._replace(status=jnp.int32(Status.RUNNING))
        while int(state.status) == Status.RUNNING and int(state.evaluations) < target:
            state, infos, count = program.chunk(state, *fixed, np.int32(CHUNK_CAPACITY), np.bool_(False))
            parts.append(jax.tree.map(lambda buffer: np.asarray(buffer)[: int(count)], infos))  # noqa: B023
        return Trial(
            state,
            np.concatenate([trial.evaluations, *(part.evaluations for part in parts)]),
            np.concatenate([trial.losses, *(part.loss for part in parts)]),
            schedule,
            target,
        )

    def replay(self, settings: Settings) -> float:
        """Returns the lowest loss of a run of `jaxstyle.minimize` with these settings, from the start."""
        problem = self.problem(settings.parameterization, settings.initial_noiseblend)
        optimizer = settings.make_optimizer()
        return minimize(problem, optimizer, key=self._key, num_steps=settings.iterations).best_loss

    def restore(self, path: Path, candidate: Candidate) -> Trial:
        """Reads what `save` wrote of a trial of a candidate with the same optimizer and parameterization."""
        program = self._program(candidate)
        traced, _ = split_options(candidate.optimizer, candidate.all_options())
        problem = self.problem(candidate.parameterization, candidate.noise_blend)
        init = lambda key: program.loop.init(problem.init_fn(key), key, traced)
        structure = jax.tree.structure(jax.eval_shape(init, self._key))
        with np.load(path, allow_pickle=False) as stored:
            leaves = [jnp.asarray(stored[f"leaf{index}"]) for index in range(structure.num_leaves)]
            state: LoopState = jax.tree.unflatten(structure, leaves)
            state = state._replace(key=jax.random.wrap_key_data(state.key))
            pairs = zip(stored["schedule_steps"].tolist(), stored["schedule_rates"].tolist(), strict=True)
            return Trial(state, stored["evaluations"], stored["losses"], tuple(pairs), int(stored["reached"]))

    def _program(self, candidate: Candidate) -> Program:
        """Returns the compiled program of an optimizer and a parameterization."""
        traced, static = split_options(candidate.optimizer, candidate.all_options())
        kind = (candidate.optimizer, candidate.parameterization, tuple(static.items()), tuple(traced))
        if kind not in self._programs:
            problem = self.problem(candidate.parameterization, candidate.noise_blend)
            optimizer = partial(make_optimizer, candidate.optimizer, **static)
            params = jax.eval_shape(problem.init_fn, self._key)
            self._programs[kind] = compile_run(problem, optimizer, params, self._key, traced)
        return self._programs[kind]


def save(path: Path, trial: Trial) -> None:
    """Writes a trial as arrays; nothing in it is executed when it is read."""
    state = trial.state._replace(key=jax.random.key_data(trial.state.key))
    arrays: dict[str, Any] = {f"leaf{index}": np.asarray(leaf) for index, leaf in enumerate(jax.tree.leaves(state))}
    steps, rates = [step for step, _ in trial.schedule], [rate for _, rate in trial.schedule]
    np.savez(
        path,
        evaluations=trial.evaluations,
        losses=trial.losses,
        reached=trial.reached,
        schedule_steps=np.array(steps, np.int64),
        schedule_rates=np.array(rates, np.float64),
        **arrays,
    )


def split_options(optimizer: str, options: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, int | str]]:
    """Returns the options that are arguments of a program, real numbers, and those that are part of it."""
    defaults = OPTIMIZERS[optimizer].defaults
    traced = {name: value for name, value in options.items() if isinstance(defaults[name], float)}
    return traced, {name: value for name, value in options.items() if name not in traced}


def best_within(evaluations: np.ndarray, losses: np.ndarray, budget: int) -> float:
    """Returns the lowest loss that was met within `budget` evaluations; infinite, if none was."""
    met = losses[(evaluations <= budget) & np.isfinite(losses)]
    return float(met.min()) if len(met) else np.inf


def extend_schedule(schedule: Schedule, step: int, rate: float) -> Schedule:
    """Returns a schedule that goes on with `rate` from `step` on. What it said of later steps never came to pass."""
    kept = tuple(pair for pair in schedule if pair[0] < step)
    return kept if kept and kept[-1][1] == rate else (*kept, (step, rate))
