"""One run of a method on a problem: `init` and `run_chunk` of jaxstyle's loop under a clock, and a score at each point.

Every run is scored by the problem's reference loss. Where a phase minimizes just that, at full size, its values are
those that the loop computed anyway; elsewhere (mini-batches, smaller sizes) the reference is computed at the points of
a grid, outside the clock and not counted: no optimizer pays for being watched, and none gains by it. What a phase
hands on to the next follows from its own losses alone.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import Any, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.methods import PERTURBATION, RATES, Method, Phase
from benchmarks.problems import BenchmarkProblem
from benchmarks.records import Point
from jaxstyle.optimize.loop import CHUNK_CAPACITY, Program, compile_run, stop_arrays
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer
from jaxstyle.optimize.records import LoopState, Status, StepInfo, StopRule
from jaxstyle.problems.parameterizations import make_parameterization
from jaxstyle.problems.problem import Params, Problem, reparameterize

#: Ratio of neighboring points' evaluations, once they are more than one apart: times to a target are known to 4 %.
GRID_RATIO = 1.04

#: Longest chunk, in seconds: within one, seconds are shared out evenly among evaluations.
CHUNK_SECONDS = 0.5


@dataclass
class Trace:
    """What is known of a run so far: parallel lists, an entry for each step or, where that costs, each point."""

    evaluations: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, evaluations: SupportsFloat, step: int, loss: SupportsFloat, seconds: SupportsFloat) -> None:
        """Appends an entry."""
        self.evaluations.append(float(evaluations))
        self.steps.append(int(step))
        self.losses.append(float(loss))
        self.seconds.append(float(seconds))

    def points(self, budget: float) -> tuple[Point, ...]:
        """Returns the last entry up to each mark of the grid, and the last of all.

        What lies beyond the budget, where a line search ended, is left out: it would be an advantage over who stops in
        time.
        """
        within = max(1, int(np.searchsorted(self.evaluations, budget, side="right")))
        evaluations = np.array(self.evaluations[:within])
        best = np.minimum.accumulate(np.where(np.isfinite(self.losses[:within]), self.losses[:within], np.inf))
        last = np.searchsorted(evaluations, grid(evaluations[-1]), side="right") - 1
        chosen = sorted({int(index) for index in last if index >= 0} | {within - 1})
        return tuple(
            Point(
                self.evaluations[index], self.steps[index], self.losses[index], float(best[index]), self.seconds[index]
            )
            for index in chosen
        )


@dataclass
class Outcome:
    """What a run gave: see the fields of the same names in `benchmarks.records.Run`."""

    trace: Trace
    status: str
    initial: float = np.nan
    reason: str = ""
    compile_seconds: float = 0.0
    peak_bytes: int | None = None
    picture: np.ndarray | None = None


class Kept:
    """What runs of one benchmark problem share: its instances, with their targets, and compiled programs."""

    def __init__(self):
        self._problem = ""
        self._things: dict[Any, Any] = {}

    def get(self, problem: str, place: Any, make: Callable[[], Any]) -> Any:
        """Returns what is at `place` (whatever tells the things of a problem apart), made if it is new.

        All that belonged to another problem is let go.
        """
        if problem != self._problem:
            self._things.clear()
            self._problem = problem
        if place not in self._things:
            self._things[place] = make()
        return self._things[place]


def grid(most: float) -> np.ndarray:
    """Returns the numbers of evaluations that points are recorded at, from 1 to `most`.

    >>> grid(5), int(grid(400)[-2])
    (array([1, 2, 3, 4, 5]), 387)
    """
    marks = [1.0]
    while marks[-1] < most:
        marks.append(float(ceil(max(marks[-1] + 1, marks[-1] * GRID_RATIO))))
    whole = np.array(marks, int)
    return whole[whole <= most]


def run_method(
    entry: BenchmarkProblem,
    instance: str,
    method: Method,
    settings: Mapping[str, Any],
    number: int,
    budget: int,
    kept: Kept,
) -> Outcome:
    """Runs `method` once; `number` is the seed of the start and of all that is drawn after it."""
    if method.peer:
        from benchmarks.peers import run_peer

        return run_peer(entry, instance, method, settings, number, budget, kept)
    return _Run(entry, instance, method, settings, number, budget, kept).go()


def start_key(number: int) -> jax.Array:
    """Returns the key of the start: the same for every method."""
    return jax.random.key(number)


class _Run:
    """A run in progress: what its phases hand on to each other."""

    def __init__(
        self,
        entry: BenchmarkProblem,
        instance: str,
        method: Method,
        settings: Mapping[str, Any],
        number: int,
        budget: int,
        kept: Kept,
    ):
        self.entry, self.instance, self.method, self.settings = entry, instance, method, settings
        self.number, self.budget, self.kept = number, budget, kept
        self.full = make_kept(entry, instance, kept)
        self.start = self.full.init_fn(start_key(number))
        self.reference = kept.get(
            entry.name,
            ("reference", _shapes(self.full)),
            lambda: jax.jit(entry.reference or partial(_own_loss, self.full)),
        )
        self.outcome = Outcome(Trace(), "budget")
        self.used, self.steps, self.seconds = 0.0, 0, 0.0
        # The lowest reference loss met and where, in the terms of the full problem: for the score and the picture.
        self.best_loss, self.best = np.inf, self.start
        # Where the next phase continues from, as far as the method itself can tell, and the loss of the full problem
        # there, if a phase has computed it: infinite otherwise.
        self.known_loss, self.known = np.inf, self.start

    def go(self) -> Outcome:
        share, status = 0.0, Status.RUNNING
        for index, phase in enumerate(self.method.phases):
            share += phase.share
            if self.budget * share - self.used >= 1:
                status = self._run_phase(index, phase, self.budget * share)
            if status.has_failed:
                break
        outcome = self.outcome
        is_same = not self.full.is_stochastic and self.method.phases[0].shrink == 1
        outcome.initial = outcome.trace.losses[0] if is_same else float(self.reference(self.start, self.full.args))
        outcome.status = {Status.CONVERGED: "done", Status.BUDGET_SPENT: "budget"}.get(status, "diverged")
        outcome.reason = status.name.lower().replace("_", " ") if outcome.status == "diverged" else ""
        if self.entry.is_picture:
            outcome.picture = np.asarray(self.full.render_fn(self.best, self.full.args))
        return outcome

    def _run_phase(self, index: int, phase: Phase, until: float) -> Status:
        problem, encode, decode = self._form(phase)
        weight = phase.shrink**-2
        key = jax.random.fold_in(start_key(self.number), index + 1)
        params = encode(self._begin(phase, key))
        allowed = max(1, int((until - self.used) / weight))
        program, options = self._program(phase, problem, params, key, allowed)
        state = began = program.loop.init(params, key, options)
        is_watched = problem.is_stochastic or phase.shrink > 1
        used, step, before = self.used, self.steps, 0
        for state, infos, took in _chunks(program, began, problem.args, allowed, at_marks=is_watched):
            shares = (infos.evaluations - before) / max(1, infos.evaluations[-1] - before)
            losses, first = infos.loss, 0
            if is_watched:
                first = len(losses) - 1
                losses[first] = self._watch(decode(state.params))
            for entry in range(first, len(losses)):
                self.outcome.trace.add(
                    used + weight * infos.evaluations[entry],
                    step + entry,
                    losses[entry],
                    self.seconds + took * shares[entry],
                )
            step, before = step + len(losses), int(infos.evaluations[-1])
            self.seconds += took
        self.used, self.steps = used + weight * before, step - 1
        self._hand_on(problem, phase, state, decode)
        if not is_watched and float(state.best_loss) < self.best_loss:
            self.best_loss, self.best = float(state.best_loss), decode(state.best_params)
        return Status(int(state.status))

    def _hand_on(self, problem: Problem, phase: Phase, state: LoopState, decode: Callable[[Params], Params]) -> None:
        """Keeps what the next phase continues from, chosen by the phase's own losses.

        That is the best so far. A smaller picture's loss is another one, so that a phase at a smaller size hands on its
        own best; one that draws batches cannot tell its best and hands on its last.
        """
        if problem.is_stochastic:
            self.known_loss, self.known = np.inf, decode(state.params)
        elif phase.shrink > 1:
            self.known_loss, self.known = np.inf, decode(state.best_params)
        elif float(state.best_loss) < self.known_loss:
            self.known_loss, self.known = float(state.best_loss), decode(state.best_params)

    def _watch(self, params: Params) -> float:
        """Returns the reference loss of parameters of the full problem, and keeps them if they are the best."""
        loss = float(self.reference(params, self.full.args))
        if loss < self.best_loss:
            self.best_loss, self.best = loss, jax.tree.map(jnp.array, params)
        return loss

    def _form(self, phase: Phase) -> tuple[Problem, Callable[[Params], Params], Callable[[Params], Params]]:
        """Returns the phase's problem, and how parameters of the full one become its own, and back."""
        if not self.method.needs_pixels:
            return self.full, lambda params: params, lambda params: params
        base = self.full if phase.shrink == 1 else make_kept(self.entry, self.instance, self.kept, phase.shrink)
        (height, width, _), size = self.start.shape, jax.eval_shape(base.init_fn, start_key(0)).shape
        form = make_parameterization(phase.parameterization, *size[:2])
        problem = base if phase.parameterization == "pixels" else reparameterize(base, form.init, form.decode)
        scale_to = partial(jax.image.resize, method="cubic")

        def encode(pixels: Params) -> Params:
            return form.init(start_key(0), pixels if phase.shrink == 1 else scale_to(pixels, size))

        def decode(params: Params) -> Params:
            pixels = form.decode(params)
            return pixels if phase.shrink == 1 else scale_to(pixels, (height, width, 3))

        return problem, encode, decode

    def _begin(self, phase: Phase, key: jax.Array) -> Params:
        if phase.begin == "anew":
            return self.full.init_fn(key)
        if phase.begin == "perturb":
            leaves, structure = jax.tree.flatten(self.known)
            keys = jax.random.split(key, len(leaves))
            moved = [
                leaf + PERTURBATION * jnp.sqrt(jnp.mean(jnp.square(leaf))) * jax.random.normal(one, leaf.shape)
                for one, leaf in zip(keys, leaves, strict=True)
            ]
            return jax.tree.unflatten(structure, moved)
        return self.known

    def _program(
        self, phase: Phase, problem: Problem, params: Params, key: jax.Array, allowed: int
    ) -> tuple[Program, dict[str, float]]:
        """Returns the program, compiled if no run had it before, and the settings that it takes as arguments."""
        known = OPTIMIZERS[phase.optimizer].defaults
        own = {**self.entry.defaults.get(phase.optimizer, {}), **phase.options, **self.settings}
        own = {name: value for name, value in own.items() if name in known}
        traced = {name: float(value) for name, value in own.items() if isinstance(known[name], float)}
        static = {name: value for name, value in own.items() if name not in traced}
        if phase.schedule == "cosine" and not traced.keys() & set(RATES):
            traced["learning_rate"] = float(known["learning_rate"])
        build = partial(_build, phase.optimizer, static, allowed if phase.schedule == "cosine" else None)
        place = (
            phase.shrink,
            phase.parameterization,
            phase.optimizer,
            tuple(sorted(static.items())),
            tuple(sorted(traced)),
            allowed if phase.schedule == "cosine" else None,
            _shapes(problem),
        )
        program: Program = self.kept.get(
            self.entry.name, place, lambda: compile_run(problem, build, params, key, traced)
        )
        self.outcome.compile_seconds += program.seconds
        memory = program.chunk.memory_analysis()
        if memory is not None:
            held = memory.argument_size_in_bytes + memory.temp_size_in_bytes
            self.outcome.peak_bytes = max(self.outcome.peak_bytes or 0, held)
        return program, traced


def _chunks(
    program: Program, state: LoopState, args: Any, allowed: int, *, at_marks: bool
) -> Iterator[tuple[LoopState, StepInfo, float]]:
    """Runs until `allowed` evaluations are spent; yields the state, its chunk's steps in NumPy, and their seconds.

    Chunks end where a clock says, or at each mark of the grid; with a line search a little later. The state's buffers
    are given to the next chunk.
    """
    stop, marks = stop_arrays(StopRule(max_evaluations=allowed)), grid(allowed)
    done, length = 0, 1  # steps, that of the start included
    while Status(int(state.status)) == Status.RUNNING:
        if at_marks:
            length = int(marks[np.searchsorted(marks, done, side="right")] - done) if done < marks[-1] else 1
        clock = time.perf_counter()
        state, infos, count = program.chunk(state, args, stop, np.int32(min(length, CHUNK_CAPACITY)), np.bool_(False))
        count = int(count)  # waits for the device
        took = time.perf_counter() - clock
        done += count
        length = max(1, min(4 * length, int(length * CHUNK_SECONDS / max(took, 1e-6))))
        yield state, jax.tree.map(lambda values, count=count: np.array(values)[:count], infos), took


def make_kept(entry: BenchmarkProblem, instance: str, kept: Kept, shrink: int = 1) -> Problem:
    """Returns an instance of a problem, with its targets, made once."""
    sizes = (shrink,) if entry.has_pixels else ()
    return kept.get(entry.name, ("instance", instance, *sizes), lambda: entry.make(instance, *sizes))


def _shapes(problem: Problem) -> str:
    return str(jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf)), problem.args))


def _own_loss(problem: Problem, params: Params, args: Any) -> jax.Array:
    return problem.loss_fn(params, args, start_key(0))[0]


def _build(
    name: str, static: Mapping[str, Any], decay_steps: int | None, **traced: jax.Array
) -> optax.GradientTransformation:
    options: dict[str, Any] = {**static, **traced}
    if decay_steps is not None:
        options["learning_rate"] = optax.cosine_decay_schedule(options["learning_rate"], decay_steps)
    return make_optimizer(name, **options)
