"""The records of a run: how it stands, what its next step needs, what people read of it, what it gives."""

import math
from enum import IntEnum
from typing import Any, NamedTuple

import jax
import optax

from jaxstyle.problems.problem import Params
from jaxstyle.run_config import StopRule as StopRule
from jaxstyle.short_repr import short_repr
from jaxstyle.types import Key, Scalar

#: A loss this many times the initial one is no spike if it stays there.
DIVERGENCE_FACTOR = 10.0

#: Steps that the loss must stay so high, ending higher than it began or being the run's last, to be called divergence.
DIVERGENCE_STEPS = 20

#: Steps after which a loss that high is divergence even if it falls: Adam's first step with a huge rate is its worst.
LONGEST_DIVERGENCE = 100


class Status(IntEnum):
    """How a run stands, or why it ended. `advice` says what to do about it."""

    RUNNING = 0
    CONVERGED = 1
    BUDGET_SPENT = 2
    DIVERGED = 3
    NOT_FINITE = 4
    INTERRUPTED = 5

    def __str__(self) -> str:
        """Name and meaning: the number alone says nothing."""
        return f"{self.name}: {self.advice}"

    def __format__(self, spec: str) -> str:
        """As `str`, and as an integer where `spec` is one for numbers, as in `f"{status:d}"`."""
        return format(int(self) if spec[-1:] in tuple("bcdoxXn") else str(self), spec)

    @property
    def advice(self) -> str:
        """One sentence for people."""
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
    """What the next step needs, and nothing else.

    Attributes:
        step: Updates so far; -1 before the first evaluation.
        params: Where the optimizer is; `loss` and `grad` are the loss and its gradient there.
        opt_state: The optimizer's own state.
        key: Fixed for the run; step `n` draws from `fold_in(key, n)`.
        loss: See `params`.
        grad: See `params`.
        evaluations: Value-and-gradient evaluations so far, those inside line searches included.
        best_params: The parameters of the lowest loss met at any step.
        best_loss: Their loss.
        best_step: Their step.
        initial_loss: The loss at step 0.
        reference_loss: The best loss when the stop rule last saw enough improvement: what it measures the next from.
        reference_step: The step of that.
        high_steps: For how many steps in a row the loss has been divergently high.
        high_loss: The loss when that began.
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
    """What people read of a step.

    Attributes:
        loss: After the step.
        terms: The problem's metrics there. A step whose loss came out of its line search has NaN here, unless its
            terms were asked for: computing them costs an evaluation.
        grad_norm: Euclidean norm of the gradient after the step.
        update_norm: Euclidean norm of the step itself; 0 at step 0.
        evaluations: Since the start of the run.
    """

    loss: Scalar
    terms: dict[str, Scalar]
    grad_norm: Scalar
    update_norm: Scalar
    evaluations: jax.Array

    __repr__ = short_repr


class Result(NamedTuple):
    """What a run gives.

    Attributes:
        params: After the last step.
        best_params: At the lowest loss met.
        best_loss: That loss.
        best_step: Its step.
        best_terms: The problem's metrics there.
        trace: `StepInfo` with NumPy arrays, an entry for step 0 and one for each step taken.
        status: Why the run ended.
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
        """Whether a line search found the best and left its terms unknown."""
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
    """Returns how a run ended that was to take `num_steps` steps: `INTERRUPTED`, if it could have gone on."""
    status = Status(int(state.status))
    if status != Status.RUNNING:
        return status
    if int(state.step) < num_steps:
        return Status.INTERRUPTED
    return Status.DIVERGED if int(state.high_steps) >= DIVERGENCE_STEPS else Status.BUDGET_SPENT
