"""Trials of candidates: runs that continue from one number of evaluations to the next, and can be saved and restored.

The learning rate and every other real number is an argument of the compiled program, so that all candidates of one
optimizer (and one parameterization) run the same program. Ray is used in `benchmarks.meta.engine` alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.meta.space import Candidate
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.optimize.loop import chunks, compile_run, minimize, stop_arrays
from jaxstyle.optimize.optimizers import make_optimizer, real_options, with_hyperparams
from jaxstyle.optimize.programs import ProgramCache
from jaxstyle.optimize.records import LoopState, Status, StopRule
from jaxstyle.optimize.step import make_loop
from jaxstyle.problems.parameterizations import apply_parameterization
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import StyleTransferConfig, make_problem, with_weights
from jaxstyle.run_config import RunConfig
from jaxstyle.types import NetworkParams, Picture
from jaxstyle.vgg.weights import load_network

#: Pairs of a step and the learning rate from that step on.
Schedule = tuple[tuple[int, float], ...]


class Trial(NamedTuple):
    """The state of a candidate's run.

    Attributes:
        state: State of the loop.
        evaluations: Evaluations of value and gradient at each step, since the first one.
        losses: Loss at each of these steps.
        schedule: Learning rates that it ran with, including those of the runs that it was copied from.
        reached: Evaluations that it was allowed so far.
    """

    state: LoopState
    evaluations: np.ndarray
    losses: np.ndarray
    schedule: Schedule
    reached: int

    @property
    def status(self) -> Status:
        """The status of the run."""
        return Status(int(self.state.status))

    @property
    def steps(self) -> int:
        """Updates within the evaluations `reached`; a line search may have gone beyond."""
        return max(int(np.sum(self.evaluations <= self.reached)) - 1, 0)

    @property
    def loss(self) -> float:
        """The lowest loss within the evaluations `reached`; infinite for a run that failed."""
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
        network: The network that gives the features; None for the one that comes with jaxstyle.
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
        make: Makes the problem from a share of noise in the start.
        height: Height of the picture.
        width: Width of the picture.
        seed: Seed of the noise; the same for all trials.
    """

    def __init__(self, make: ProblemMaker, height: int, width: int, seed: int) -> None:
        self._make, self._size = make, (height, width)
        self._args = make(None).args
        self._key = jax.random.key(seed)
        self._programs = ProgramCache(most=1000)

    def problem(self, parameterization: str, noise_blend: float | None) -> Problem:
        """Returns the problem in a parameterization, from a start."""
        return apply_parameterization(self._make(noise_blend), parameterization, *self._size)

    def begin(self, candidate: Candidate) -> Trial:
        """Returns a trial before its first evaluation."""
        problem = self.problem(candidate.parameterization, candidate.noise_blend)
        init_key, run_key = jax.random.split(self._key)  # as `minimize` does
        state = make_loop(problem, optimizer_of(candidate)).init(problem.init_fn(init_key), run_key)
        return Trial(state, np.zeros(0, np.int64), np.zeros(0), (), 0)

    def advance(self, trial: Trial, candidate: Candidate, target: int) -> Trial:
        """Returns the trial after `target` evaluations in all, or at its end.

        Args:
            trial: Trial of this candidate, or of one that differs in its learning rate alone; its buffers are donated.
            candidate: The candidate whose learning rate is used from here on.
            target: Evaluations since the start.
        """
        problem = self.problem(candidate.parameterization, candidate.noise_blend)
        state, parts = trial.state, []
        optimizer = optimizer_of(candidate)
        program = compile_run(problem, optimizer, state.params, state.key, programs=self._programs)
        state = state._replace(opt_state=with_hyperparams(state.opt_state, traced_options(candidate)))
        schedule = trial.schedule
        if candidate.rate is not None:
            schedule = extend_schedule(schedule, max(int(state.step), 0), candidate.rate)
        if int(state.status) == Status.BUDGET_SPENT:  # of an earlier target
            state = state._replace(status=jnp.int32(Status.RUNNING))
        if int(state.evaluations) < target:
            stop = stop_arrays(StopRule(max_evaluations=target))
            for progress in chunks(program, state, self._args, stop, wants_terms=False):
                state = progress.state
                parts.append(progress.infos)
        return Trial(
            state,
            np.concatenate([trial.evaluations, *(part.evaluations for part in parts)]),
            np.concatenate([trial.losses, *(part.loss for part in parts)]),
            schedule,
            target,
        )

    def replay(self, settings: RunConfig) -> float:
        """Returns the lowest loss of a run of `jaxstyle.minimize` with these settings, from the start."""
        problem = self.problem(settings.parameterization, settings.initial_noiseblend)
        optimizer = configured_optimizer(settings)
        return minimize(problem, optimizer, key=self._key, num_steps=settings.iterations).best_loss

    def restore(self, path: Path, candidate: Candidate) -> Trial:
        """Reads a trial that `save` wrote; its candidate had the same optimizer and parameterization."""
        problem = self.problem(candidate.parameterization, candidate.noise_blend)
        loop = make_loop(problem, optimizer_of(candidate))
        init = lambda key: loop.init(problem.init_fn(key), key)
        structure = jax.tree.structure(jax.eval_shape(init, self._key))
        with np.load(path, allow_pickle=False) as stored:
            leaves = [jnp.asarray(stored[f"leaf{index}"]) for index in range(structure.num_leaves)]
            state: LoopState = jax.tree.unflatten(structure, leaves)
            state = state._replace(key=jax.random.wrap_key_data(state.key))
            pairs = zip(stored["schedule_steps"].tolist(), stored["schedule_rates"].tolist(), strict=True)
            return Trial(state, stored["evaluations"], stored["losses"], tuple(pairs), int(stored["reached"]))


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


def traced_options(candidate: Candidate) -> dict[str, float]:
    """Returns the candidate's options that are arguments of its program: its real numbers."""
    options = candidate.all_options()
    return {name: options[name] for name in real_options(candidate.optimizer) if name in options}


def optimizer_of(candidate: Candidate) -> optax.GradientTransformation:
    """Returns the candidate's optimizer."""
    return make_optimizer(candidate.optimizer, traced=traced_options(candidate), **candidate.all_options())


def best_within(evaluations: np.ndarray, losses: np.ndarray, budget: int) -> float:
    """Returns the lowest loss that was met within `budget` evaluations; infinite, if none was."""
    met = losses[(evaluations <= budget) & np.isfinite(losses)]
    return float(met.min()) if len(met) else np.inf


def extend_schedule(schedule: Schedule, step: int, rate: float) -> Schedule:
    """Returns a schedule that continues with `rate` from `step` on; its entries for later steps are dropped."""
    kept = tuple(pair for pair in schedule if pair[0] < step)
    return kept if kept and kept[-1][1] == rate else (*kept, (step, rate))
