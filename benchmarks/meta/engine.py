"""Ray Tune runs the trials, stops some and copies others. The only module that imports Ray.

Two engines. `asha`: asynchronous successive halving (Li et al. 2020, "A system for massively parallel hyperparameter
tuning") compares each trial after a quarter and after half of its budget, and continues it if it is among the better
half of those that have reached it. (Earlier would be unfair: L-BFGS spends its first evaluations on one line search.)
`pbt`: population based training (Jaderberg et al. 2017): ten times, the worst quarter of the trials become copies of
trials of the best quarter, and their learning rates are changed by a fifth up or down, or (one time in four) drawn
anew; so the learning rates of the best trial are a schedule.
"""

import os
import random
import secrets
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# Ray reads these when it is imported: no telemetry, no loggers, no handler of Ctrl-C, no advice on the terminal.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining, TrialScheduler  # noqa: E402

from benchmarks.meta.outcomes import FAILED, TrialOutcome  # noqa: E402
from benchmarks.meta.space import RATE_FACTOR, Candidate  # noqa: E402
from benchmarks.meta.trials import Runner, Trial, save, style_transfer_of  # noqa: E402
from jaxstyle.optimize.records import Status  # noqa: E402
from jaxstyle.types import NetworkParams, Picture  # noqa: E402

#: Number of equal parts of the budget, after each of which the engine compares trials.
PARTS = {"asha": 4, "pbt": 10}

#: Size of Ray's shared memory; only the pictures go through it.
OBJECT_STORE_BYTES = 128 * 2**20

#: Checkpoints kept for each trial; Ray advises more than 2 with population based training.
KEPT_CHECKPOINTS = 4

#: Longest path, in characters, of the parent of Ray's folder: the path of a socket in it may have at most 107.
LONGEST_PARENT = 25

#: Seconds for which the removal of Ray's folder is retried while its processes still write to it.
REMOVAL_SECONDS = 10.0


class SearchTask(NamedTuple):
    """The data that all trials have in common.

    Attributes:
        content: Picture, `[height, width, 3]` in [0, 1].
        styles: Pictures.
        seed: Seed of all that is random.
        budget: Evaluations of each trial.
        engine: One of `PARTS`.
        network: The network that gives the features; None for the one that comes with jaxstyle.
    """

    content: Picture
    styles: Sequence[Picture]
    seed: int
    budget: int
    engine: str
    network: NetworkParams | None = None

    def runner(self) -> Runner:
        """Returns a runner of its trials in this process."""
        make = style_transfer_of(self.content, self.styles, self.network)
        height, width, _ = self.content.shape
        return Runner(make, height, width, self.seed)


class Found(NamedTuple):
    """The result of a search.

    Attributes:
        outcomes: The outcome of each trial; two for a trial that was replaced by a copy of another optimizer's.
        evaluations: Evaluations made by all trials together.
        is_interrupted: Whether Ctrl-C ended it.
        error: Message of the first trial that ended with an error.
    """

    outcomes: list[TrialOutcome]
    evaluations: int
    is_interrupted: bool = False
    error: str = ""


class Actor(tune.Trainable):
    """A process that runs one trial after another, and keeps its compiled programs for the next."""

    def setup(self, config: dict[str, Any], task: SearchTask | None = None, cache: str | None = None) -> None:
        """Prepares the problem; `cache` is the folder in which the actors share compiled programs."""
        import jax

        assert task is not None
        if cache is not None:
            jax.config.update("jax_compilation_cache_dir", cache)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        self._runner, self._task = task.runner(), task
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Switches to another candidate; its trial is begun, or loaded, after this."""
        self._candidate = Candidate(**new_config["candidate"])
        self._trial: Trial | None = None
        return True

    def step(self) -> dict[str, Any]:
        """Runs the next part of the budget."""
        trial = self._runner.begin(self._candidate) if self._trial is None else self._trial
        start = trial.reached
        target = next_target(start, self._task.budget, PARTS[self._task.engine])
        self._trial = trial = self._runner.advance(trial, self._candidate, target)
        has_ended = trial.status in (Status.CONVERGED, Status.DIVERGED, Status.NOT_FINITE)
        return {
            "loss": trial.loss if np.isfinite(trial.loss) else FAILED,
            "evaluations": target,
            "made": target - start,
            "steps": trial.steps,
            "schedule": [list(pair) for pair in trial.schedule],
            "status": trial.status.name,
            "done": bool(has_ended or target >= self._task.budget),
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Writes the trial."""
        trial = self._runner.begin(self._candidate) if self._trial is None else self._trial
        save(Path(checkpoint_dir) / "trial.npz", trial)

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Continues a trial of this candidate, or of one with another learning rate."""
        self._trial = self._runner.restore(Path(checkpoint) / "trial.npz", self._candidate)


class Recorder(tune.Callback):
    """Keeps the last report of every trial, so that nothing is lost by Ctrl-C, and reports progress."""

    def __init__(self, budget: int, report: Callable[[list[TrialOutcome], int], None]) -> None:
        self.last: dict[tuple[str, str], TrialOutcome] = {}
        self.evaluations = 0
        self._budget, self._report = budget, report

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Records a result."""
        outcome = outcome_of(trial.trial_id, result, self._budget)
        optimizer = outcome.candidate.optimizer
        for (name, other), earlier in self.last.items():
            if name == trial.trial_id and other != optimizer:
                self.last[name, other] = replace(earlier, status="replaced")
        self.last[trial.trial_id, optimizer] = outcome
        self.evaluations += result["made"]
        self._report(list(self.last.values()), self.evaluations)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Records that a trial's process failed."""
        candidate = Candidate(**trial.config["candidate"])
        self.last[trial.trial_id, candidate.optimizer] = TrialOutcome(trial.trial_id, candidate, status="error")


def outcome_of(name: str, result: Mapping[str, Any], budget: int) -> TrialOutcome:
    """Returns the outcome of the trial called `name` from its last report; `budget` is what it was allowed."""
    ends = {"CONVERGED": "converged", "DIVERGED": "diverged", "NOT_FINITE": "diverged"}
    status = ends.get(result["status"], "complete" if result["evaluations"] >= budget else "stopped")
    schedule = tuple((int(step), float(rate)) for step, rate in result["schedule"])
    candidate = Candidate(**result["config"]["candidate"])
    loss = float(result["loss"])
    return TrialOutcome(name, candidate, loss, int(result["evaluations"]), int(result["steps"]), schedule, status)


def next_target(reached: int, budget: int, parts: int) -> int:
    """Returns the next number of evaluations after `reached` at which the engine compares trials.

    >>> [next_target(reached, 90, 4) for reached in (0, 22, 23, 89)]
    [22, 45, 45, 90]
    """
    return next(target for part in range(1, parts + 1) if (target := round(budget * part / parts)) > reached)


def search(
    task: SearchTask,
    candidates: Sequence[Candidate],
    *,
    jobs: int,
    address: str | None = None,
    scratch: str | None = None,
    report: Callable[[list[TrialOutcome], int], None] = lambda outcomes, evaluations: None,
) -> Found:
    """Runs trials of all candidates.

    Args:
        task: Pictures, budget, engine.
        candidates: Settings that the trials begin with.
        jobs: Trials at the same time on this machine.
        address: Address of a Ray cluster to use instead.
        scratch: Folder for a temporary folder; on a cluster of several machines it must be shared by all of them.
        report: Function that is called with the outcomes and the evaluations so far, after each result.
    """
    recorder, is_interrupted, error = Recorder(task.budget, report), False, ""
    with _without_warning_of_forks(), _folder(scratch) as folder, _cluster(jobs, address):
        there = ray.cluster_resources()
        share = there.get("GPU", 0) / (jobs if address is None else there["CPU"])
        actor = tune.with_parameters(Actor, task=task, cache=str(folder / "programs"))
        tuner = tune.Tuner(
            tune.with_resources(actor, {"cpu": 1, "gpu": min(share, 1.0)} if share else {"cpu": 1}),
            param_space={"candidate": tune.grid_search([asdict(candidate) for candidate in candidates])},
            tune_config=tune.TuneConfig(
                metric="loss",
                mode="min",
                scheduler=_scheduler(task),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=str(folder),
                verbose=0,
                callbacks=[recorder],
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(num_to_keep=KEPT_CHECKPOINTS),
            ),
        )
        try:
            errors = tuner.fit().errors
            error = str(errors[0]).strip().splitlines()[-1] if errors else ""
        except KeyboardInterrupt:
            is_interrupted = True
    return Found(list(recorder.last.values()), recorder.evaluations, is_interrupted, error)


def _scheduler(task: SearchTask) -> TrialScheduler:
    if task.engine == "asha":
        return ASHAScheduler(max_t=PARTS["asha"], grace_period=1, reduction_factor=2)
    random.seed(task.seed)  # it draws from the global generators
    np.random.seed(task.seed)
    return PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=1,
        hyperparam_mutations={"candidate": {"rate_factor": tune.loguniform(RATE_FACTOR.low, RATE_FACTOR.high)}},
        log_config=False,
    )


@contextmanager
def _folder(parent: str | None) -> Iterator[Path]:
    """Returns a temporary folder, and removes it at the end, even if Ray's processes still write into it."""
    folder = Path(tempfile.mkdtemp(prefix="jaxstyle-", dir=parent))
    try:
        yield folder
    finally:
        end = time.monotonic() + REMOVAL_SECONDS
        while folder.exists():
            shutil.rmtree(folder, ignore_errors=time.monotonic() < end)
            time.sleep(0.05)


@contextmanager
def _cluster(jobs: int, address: str | None) -> Iterator[None]:
    """Starts Ray on this machine, or joins a cluster."""
    threads = max(1, (os.cpu_count() or 1) // jobs) if address is None else 1
    # XLA makes a pool of as many threads as there are cores, in every process, by default; and takes a GPU's memory.
    limits = {"NPROC": str(threads), "PJRT_NPROC": str(threads), "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    shared: dict[str, Any] = {"runtime_env": {"env_vars": limits}, "log_to_driver": False, "logging_level": "CRITICAL"}
    with ExitStack() as closing:
        if address is None:
            # Without a token in the environment, Ray would write one into the user's home.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            parent = tempfile.gettempdir()
            folder = closing.enter_context(_folder(parent if len(parent) <= LONGEST_PARENT else "/tmp"))
            ray.init(
                address="local",
                num_cpus=jobs,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _temp_dir=str(folder),
                **shared,
            )
        else:
            ray.init(address=address, **shared)
        closing.callback(ray.shutdown)
        yield


@contextmanager
def _without_warning_of_forks() -> Iterator[None]:
    """Hides the warning that JAX must not be forked: Ray's children of this process execute another program at once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
        yield
