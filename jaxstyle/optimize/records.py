"""The records of a run: its status, the state for the next step, the numbers of each step, and the result."""

import math
from enum import IntEnum
from typing import Any, NamedTuple

import jax
import optax

from jaxstyle.problems.problem import Params
from jaxstyle.run_config import StopRule as StopRule
from jaxstyle.short_repr import short_repr
from jaxstyle.types import Key, Scalar

#: The threshold of divergence is this many times the initial loss. A shorter spike above it is not divergence.
DIVERGENCE_FACTOR = 10.0

#: A run has diverged if its loss was above the threshold for this many steps, and rose meanwhile or the run is over.
DIVERGENCE_STEPS = 20

#: Steps above the threshold after which a run has diverged even if its loss falls, as with Adam and a huge rate.
LONGEST_DIVERGENCE = 100


class Status(IntEnum):
    """The status of a run: running, or why it ended. `advice` is a sentence about it."""

    RUNNING = 0
    CONVERGED = 1
    BUDGET_SPENT = 2
    DIVERGED = 3
    NOT_FINITE = 4
    INTERRUPTED = 5

    def __str__(self) -> str:
        """Returns the name and the meaning."""
        return f"{self.name}: {self.advice}"

    def __format__(self, spec: str) -> str:
        """Returns the text of `str`, or the number if `spec` is one for numbers, as in `f"{status:d}"`."""
        return format(int(self) if spec[-1:] in tuple("bcdoxXn") else str(self), spec)

    @property
    def advice(self) -> str:
        """One sentence that explains the status, and what to change if the run failed."""
        return _ADVICE[self]

    @property
    def has_failed(self) -> bool:
        """Whether the optimization itself went wrong."""
        return self in (Status.DIVERGED, Status.NOT_FINITE)


_ADVICE = {
    Status.RUNNING: "The run goes on.",
    Status.CONVERGED: "The best loss has stopped improving: by the stop rule, or a line search found nothing lower.",
    Status.BUDGET_SPENT: "All steps or evaluations were taken; more may still lower the loss.",
    Status.DIVERGED: f"The loss stayed above {DIVERGENCE_FACTOR:g} times its initial value; "
    "lower the learning rate, by a factor of 10 to begin with.",
    Status.NOT_FINITE: "The loss became infinite or not a number; lower the learning rate, by a factor of 10 to begin "
    "with, or the weights, if the first loss already was.",
    Status.INTERRUPTED: "The run was interrupted; its best result so far was kept.",
}


class LoopState(NamedTuple):
    """The state that the next step needs.

    Attributes:
        step: Number of updates so far; -1 before the first evaluation.
        params: The current parameters.
        opt_state: The optimizer's state.
        key: Key of the run, which does not change; step `n` uses `fold_in(key, n)`.
        loss: Loss at `params`.
        grad: Gradient of the loss at `params`.
        evaluations: Value-and-gradient evaluations so far, those inside line searches included.
        best_params: The parameters with the lowest loss of all steps so far.
        best_loss: Loss at `best_params`.
        best_step: Step of `best_params`.
        initial_loss: Loss at step 0.
        reference_loss: Best loss at `reference_step`; the stop rule measures the improvement from here.
        reference_step: Last step at which the stop rule found enough improvement.
        high_steps: Number of steps in a row at which the loss was above the threshold of divergence.
        high_loss: Loss at the first of these steps.
        status: A `Status`, as an integer.
    """

    step: jax.Array
    params: Params
    opt_state: optax.OptState
    key: Key
    loss: Scalar
    grad: Params
    evaluations: jax.Array
    best_params: Params
    best_loss: Scalar
    best_step: jax.Array
    initial_loss: Scalar
    reference_loss: Scalar
    reference_step: jax.Array
    high_steps: jax.Array
    high_loss: Scalar
    status: jax.Array

    __repr__ = short_repr


class StepInfo(NamedTuple):
    """The numbers that are reported of a step.

    Attributes:
        loss: Loss after the step.
        terms: Terms of that loss. They are NaN if the loss was computed by a line search, unless the caller requested
            them, because computing them costs an evaluation.
        grad_norm: Euclidean norm of the gradient after the step.
        update_norm: Euclidean norm of the step itself; 0 at step 0.
        evaluations: Number of evaluations since the start of the run.
    """

    loss: Scalar
    terms: dict[str, Scalar]
    grad_norm: Scalar
    update_norm: Scalar
    evaluations: jax.Array

    __repr__ = short_repr


class Result(NamedTuple):
    """The result of a run.

    Attributes:
        params: Parameters after the last step.
        best_params: Parameters with the lowest loss of all steps.
        best_loss: Loss at `best_params`.
        best_step: Step of `best_params`.
        best_terms: Terms of the loss at `best_params`.
        trace: `StepInfo` with NumPy arrays, an entry for step 0 and one for each step taken.
        status: Reason why the run ended.
        compile_seconds: Time to trace and compile.
        run_seconds: Time for all steps.
        opt_state: The optimizer's state after the last step.
    """

    params: Params
    best_params: Params
    best_loss: float
    best_step: int
    best_terms: dict[str, float]
    trace: StepInfo
    status: Status
    compile_seconds: float
    run_seconds: float
    opt_state: optax.OptState

    __repr__ = short_repr

    @property
    def lacks_terms(self) -> bool:
        """Whether the terms of the best loss are unknown, because a line search computed that loss."""
        return math.isfinite(self.best_loss) and any(map(math.isnan, self.best_terms.values()))


class Progress(NamedTuple):
    """What a run, or all runs of a batch, have reached after a chunk: what `chunks` yields and callbacks get.

    Attributes:
        step: The last step taken; of a batch, by the runs that have not ended.
        state: The loop's state; of a batch, stacked. Its buffers are given to the next chunk: copy what you keep.
        infos: `StepInfo` with NumPy arrays for the chunk's steps, the last of which is `step`; of a batch a list of
            them, one for each run, of length 0 for runs that ended before.
        run_seconds: Time for all steps so far, of all runs of a batch, compilation left out.
        compile_seconds: Time for compilation.
    """

    step: int
    state: LoopState
    infos: Any
    run_seconds: float
    compile_seconds: float

    __repr__ = short_repr

    def of(self, index: int) -> "Progress":
        """Returns what one run of a batch would have reported alone, but with the times of the batch."""
        state = _pick(self.state, index)
        return self._replace(step=int(state.step), state=state, infos=self.infos[index])


@jax.jit
def _pick(states: LoopState, index: int | jax.Array) -> LoopState:
    return jax.tree.map(lambda leaf: leaf[index], states)


def final_status(state: LoopState, num_steps: int) -> Status:
    """Returns how a run of at most `num_steps` steps ended: `INTERRUPTED` if it could have continued."""
    status = Status(int(state.status))
    if status != Status.RUNNING:
        return status
    if int(state.step) < num_steps:
        return Status.INTERRUPTED
    return Status.DIVERGED if int(state.high_steps) >= DIVERGENCE_STEPS else Status.BUDGET_SPENT
