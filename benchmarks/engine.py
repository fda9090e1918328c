"""One run of a method on a problem: `init` and `run_chunk` of jaxstyle's loop under a clock, and a score at each point.

Every run is scored by the problem's reference loss. Where a phase minimizes just that, at full size, its values are
those that the loop computed anyway; elsewhere (mini-batches, smaller sizes) the reference is computed at the points of
a grid; this is neither timed nor counted, and no optimizer can use it. The parameters that a phase passes to the next
depend on its own losses alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.instances import InstanceCache, make_instance
from benchmarks.methods import PERTURBATION, Method, Phase
from benchmarks.problems import BenchmarkProblem
from benchmarks.trace import Outcome, Trace, grid
from jaxstyle.optimize.loop import chunks, compile_run, stop_arrays
from jaxstyle.optimize.optimizers import OPTIMIZERS, make_optimizer, real_options, trace_options
from jaxstyle.optimize.programs import Program, ProgramCache
from jaxstyle.optimize.records import LoopState, Status, StopRule
from jaxstyle.optimize.step import make_loop
from jaxstyle.problems.parameterizations import make_parameterization
from jaxstyle.problems.problem import Params, Problem, reparameterize

#: Duration of the longest chunk, in seconds: within a chunk, all evaluations are taken to last equally long.
CHUNK_SECONDS = 0.5

#: Compiled programs that are kept of a problem: all that its methods have.
MOST_PROGRAMS = 1000


def run_method(
    entry: BenchmarkProblem,
    instance: str,
    method: Method,
    settings: Mapping[str, Any],
    number: int,
    budget: int,
    cache: InstanceCache,
) -> Outcome:
    """Runs `method` once; `number` seeds the start, the same for every method, and all random numbers after it."""
    return _MethodRun(entry, instance, method, settings, number, budget, cache).run()


@dataclass
class _MethodRun:
    """A run in progress, with the parameters that its phases pass to each other."""

    entry: BenchmarkProblem
    instance: str
    method: Method
    settings: Mapping[str, Any]
    number: int
    budget: int
    cache: InstanceCache

    def __post_init__(self) -> None:
        self.full = make_instance(self.entry, self.instance, self.cache)
        self.start = self.full.init_fn(jax.random.key(self.number))
        self.reference = self.cache.get(
            self.entry.name,
            ("reference", _shapes(self.full)),
            lambda: jax.jit(self.entry.reference or partial(_own_loss, self.full)),
        )
        self.outcome = Outcome(Trace(), "budget")
        self.used, self.steps, self.seconds = 0.0, 0, 0.0
        # The lowest reference loss so far and its parameters, of the full problem: for the score and the picture.
        self.best_loss, self.best = np.inf, self.start
        # Where the next phase continues from, chosen by the method's own losses, and the loss of the full problem
        # there, if a phase has computed it: infinite otherwise.
        self.next_loss, self.next = np.inf, self.start

    def run(self) -> Outcome:
        """Runs all phases."""
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
        key = jax.random.fold_in(jax.random.key(self.number), index + 1)
        params = encode(self._begin(phase, key))
        allowed = max(1, int((until - self.used) / weight))
        optimizer = self._optimizer(phase, allowed)
        program = self._program(problem, optimizer, params, key)
        start, stop = make_loop(problem, optimizer).init(params, key), stop_arrays(StopRule(max_evaluations=allowed))
        needs_reference = problem.is_stochastic or phase.shrink > 1
        # The reference is computed at each mark of the grid, whatever the duration: step 0 is the first evaluation.
        marks, seconds = ((grid(allowed) - 1).tolist(), np.inf) if needs_reference else ((), CHUNK_SECONDS)
        reports = {"report_at": marks, "chunk_seconds": seconds, "wants_terms": False}
        used, step, before = self.used, self.steps, 0
        began = self.seconds
        for progress in chunks(program, start, problem.args, stop, **reports):
            state, infos, took = progress.state, progress.infos, began + progress.run_seconds - self.seconds
            shares = (infos.evaluations - before) / max(1, infos.evaluations[-1] - before)
            losses, first = infos.loss.copy(), 0
            if needs_reference:
                first = len(losses) - 1
                losses[first] = self._score(decode(state.params))
            for entry in range(first, len(losses)):
                evaluations = used + weight * infos.evaluations[entry]
                self.outcome.trace.add(evaluations, step + entry, losses[entry], self.seconds + took * shares[entry])
            step, before = step + len(losses), int(infos.evaluations[-1])
            self.seconds += took
        self.used, self.steps = used + weight * before, step - 1
        self._pass_on(problem, phase, state, decode)
        if not needs_reference and float(state.best_loss) < self.best_loss:
            self.best_loss, self.best = float(state.best_loss), decode(state.best_params)
        return Status(int(state.status))

    def _pass_on(self, problem: Problem, phase: Phase, state: LoopState, decode: Callable[[Params], Params]) -> None:
        """Stores the parameters for the next phase, chosen by the phase's own losses: the best parameters so far.

        Losses at two sizes cannot be compared, so that a phase at a smaller size passes its own best parameters on. A
        phase that draws batches at random has no best parameters, and passes the last ones on.
        """
        if problem.is_stochastic:
            self.next_loss, self.next = np.inf, decode(state.params)
        elif phase.shrink > 1:
            self.next_loss, self.next = np.inf, decode(state.best_params)
        elif float(state.best_loss) < self.next_loss:
            self.next_loss, self.next = float(state.best_loss), decode(state.best_params)

    def _score(self, params: Params) -> float:
        """Returns the reference loss of parameters of the full problem, and stores them if they are the best."""
        loss = float(self.reference(params, self.full.args))
        if loss < self.best_loss:
            self.best_loss, self.best = loss, jax.tree.map(jnp.array, params)
        return loss

    def _form(self, phase: Phase) -> tuple[Problem, Callable[[Params], Params], Callable[[Params], Params]]:
        """Returns the phase's problem, and the functions from parameters of the full problem to its own, and back."""
        if not self.method.needs_pixels:
            return self.full, lambda params: params, lambda params: params
        base = self.full if phase.shrink == 1 else make_instance(self.entry, self.instance, self.cache, phase.shrink)
        (height, width, _), size = self.start.shape, jax.eval_shape(base.init_fn, jax.random.key(0)).shape
        form = make_parameterization(phase.parameterization, *size[:2])
        problem = base if phase.parameterization == "pixels" else reparameterize(base, form.init, form.decode)
        scale_to = partial(jax.image.resize, method="cubic")

        def encode(pixels: Params) -> Params:
            return form.init(jax.random.key(0), pixels if phase.shrink == 1 else scale_to(pixels, size))

        def decode(params: Params) -> Params:
            pixels = form.decode(params)
            return pixels if phase.shrink == 1 else scale_to(pixels, (height, width, 3))

        return problem, encode, decode

    def _begin(self, phase: Phase, key: jax.Array) -> Params:
        if phase.begin == "anew":
            return self.full.init_fn(key)
        if phase.begin == "perturb":
            leaves, structure = jax.tree.flatten(self.next)
            keys = jax.random.split(key, len(leaves))
            moved = [
                leaf + PERTURBATION * jnp.sqrt(jnp.mean(jnp.square(leaf))) * jax.random.normal(one, leaf.shape)
                for one, leaf in zip(keys, leaves, strict=True)
            ]
            return jax.tree.unflatten(structure, moved)
        return self.next

    def _optimizer(self, phase: Phase, allowed: int) -> optax.GradientTransformation:
        """Returns the phase's optimizer, whose real settings are arguments of its program."""
        spec = OPTIMIZERS[phase.optimizer]
        own = {**self.entry.defaults.get(phase.optimizer, {}), **phase.options, **self.settings}
        own = {name: value for name, value in own.items() if name in spec.defaults}
        traced = set(own) & set(real_options(phase.optimizer))
        if phase.schedule != "cosine":
            return make_optimizer(phase.optimizer, traced=traced, **own)

        @wraps(spec.build)
        def build(learning_rate: float, **options: Any) -> optax.GradientTransformation:
            return spec.build(optax.cosine_decay_schedule(learning_rate, allowed), **options)

        return trace_options(build, traced | {"learning_rate"}, {**spec.defaults, **own})

    def _program(
        self, problem: Problem, optimizer: optax.GradientTransformation, params: Params, key: jax.Array
    ) -> Program:
        """Returns the program, compiled if no run had it before."""
        programs = self.cache.get(self.entry.name, "programs", lambda: ProgramCache(most=MOST_PROGRAMS))
        program = compile_run(problem, optimizer, params, key, programs=programs)
        self.outcome.compile_seconds += program.seconds
        memory = program.chunk.memory_analysis()
        if memory is not None:
            held = memory.argument_size_in_bytes + memory.temp_size_in_bytes
            self.outcome.peak_bytes = max(self.outcome.peak_bytes or 0, held)
        return program


def _shapes(problem: Problem) -> str:
    return str(jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf)), problem.args))


def _own_loss(problem: Problem, params: Params, args: Any) -> jax.Array:
    return problem.loss_fn(params, args, jax.random.key(0))[0]
