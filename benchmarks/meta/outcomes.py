"""The outcomes of trials: the best one, a table of the best of each optimizer, the file of settings. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.markdown import table_lines
from benchmarks.meta.space import Candidate
from benchmarks.meta.trials import Schedule
from jaxstyle.checks import InputError, check_choice
from jaxstyle.run_config import PARAMETERIZATIONS, RunConfig

#: The loss of a run that failed: finite, since schedulers take quantiles of losses.
FAILED = 1e30

#: How a trial may end: at its budget; converged, as a line search found nothing lower; stopped by the scheduler;
#: replaced by a copy of another optimizer's trial; diverged; by an error of the program.
STATUSES = ("complete", "converged", "stopped", "replaced", "diverged", "error")


@dataclass(frozen=True)
class TrialOutcome:
    """The outcome of a trial.

    Attributes:
        trial: Its name.
        candidate: The candidate that it ran last.
        loss: The lowest loss.
        evaluations: Evaluations that it was given.
        steps: Updates that it made in these.
        schedule: Learning rates by step.
        status: One of `STATUSES`.
    """

    trial: str
    candidate: Candidate
    loss: float = math.inf
    evaluations: int = 0
    steps: int = 0
    schedule: Schedule = ()
    status: str = "stopped"


def best_of(outcomes: Sequence[TrialOutcome]) -> TrialOutcome:
    """Returns the outcome with the lowest loss.

    Raises:
        InputError: If all failed.
    """
    usable = [outcome for outcome in outcomes if outcome.loss < FAILED and outcome.steps > 0]
    if not usable:
        statuses = sorted({outcome.status for outcome in outcomes})
        raise InputError("a trial that does not fail", f"none ({', '.join(statuses)})", "try others with --optimizers")
    return min(usable, key=lambda outcome: outcome.loss)


def table(outcomes: Sequence[TrialOutcome]) -> list[dict[str, Any]]:
    """Returns a row for each optimizer, the best first: its best trial, and how its trials ended."""
    rows = []
    for optimizer in dict.fromkeys(outcome.candidate.optimizer for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.candidate.optimizer == optimizer]
        best = min(own, key=lambda outcome: outcome.loss)
        counts = {status: sum(outcome.status == status for outcome in own) for status in STATUSES}
        has_failed = not best.loss < FAILED
        rows.append(
            {
                "optimizer": optimizer,
                "loss": None if has_failed else best.loss,
                "evaluations": best.evaluations,
                "options": best.candidate.all_options(),
                "parameterization": best.candidate.parameterization,
                "noise_blend": best.candidate.noise_blend,
                "trials": {status: count for status, count in counts.items() if count},
            }
        )
    return sorted(rows, key=lambda row: math.inf if row["loss"] is None else row["loss"])


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows of `table` as a table in Markdown."""
    lines = []
    for row in rows:
        loss = "failed" if row["loss"] is None else f"{row['loss']:.5g}"
        options = " ".join(f"{name}={value:g}" for name, value in row["options"].items()) or "defaults"
        settings = f"{options}, {row['parameterization']}, {row['noise_blend']:g} noise"
        ends = ", ".join(f"{count} {status}" for status, count in row["trials"].items())
        lines.append((row["optimizer"], loss, row["evaluations"], settings, ends))
    return "\n".join(table_lines(("optimizer", "best loss", "after", "settings", "trials"), lines))


def settings_of(outcome: TrialOutcome, provenance: dict[str, Any]) -> RunConfig:
    """Returns the settings that do what a trial did, with its learning rates where it had several."""
    candidate = outcome.candidate
    options = candidate.all_options()
    schedule = tuple(pair for pair in outcome.schedule if pair[0] < outcome.steps)
    if len(schedule) > 1:
        options.pop("learning_rate")
    return RunConfig(
        optimizer=candidate.optimizer,
        options=options,
        schedule=schedule if len(schedule) > 1 else (),
        parameterization=check_choice("parameterization", candidate.parameterization, PARAMETERIZATIONS),
        iterations=outcome.steps,
        initial_noiseblend=candidate.noise_blend,
        provenance=provenance,
    )
