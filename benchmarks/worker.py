"""The process that computes: `python -m benchmarks.worker` receives planned runs and answers with runs.

A process of its own, so that a run that hangs or takes all memory costs that run and nothing else.
"""

import base64
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine import run_method
from benchmarks.environment import device
from benchmarks.instances import InstanceCache
from benchmarks.methods import METHODS
from benchmarks.peers import run_peer
from benchmarks.problems.registry import PROBLEMS
from benchmarks.processes import serve
from benchmarks.records import PlannedRun, Run, row_of
from jaxstyle.checks import DoesNotFitError
from jaxstyle.pictures.image_files import write_picture


def compute(plan: PlannedRun, cache: InstanceCache) -> Run:
    """Computes a run; whatever happens becomes a status."""
    method = METHODS[plan.method]
    run = run_peer if method.peer else run_method
    try:
        outcome = run(PROBLEMS[plan.problem], plan.instance, method, plan.settings, plan.seed, plan.budget, cache)
    except (DoesNotFitError, MemoryError) as error:
        return plan.ended("oom", _one_line(error))
    except Exception as error:
        status = "oom" if "RESOURCE_EXHAUSTED" in str(error) else "error"
        traceback.print_exc()
        return plan.ended(status, f"{type(error).__name__}: {_one_line(error)}")
    wants_picture = plan.stage != "tuning" and plan.number == 0 and outcome.picture is not None
    trace, points = outcome.trace, outcome.trace.points(plan.budget)
    return plan.ended(
        outcome.status,
        outcome.reason,
        evaluations=trace.evaluations[-1],
        steps=trace.steps[-1],
        seconds=trace.seconds[-1],
        compile_seconds=outcome.compile_seconds,
        peak_bytes=outcome.peak_bytes,
        initial=outcome.initial,
        best=points[-1].best,
        picture=_to_png(outcome.picture) if wants_picture else None,
        points=points,
    )


def _to_png(picture: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        write_picture(str(path), np.asarray(picture))
        return base64.b64encode(path.read_bytes()).decode()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def prepare() -> tuple[dict[str, Any], Callable[[Any], Any]]:
    """Returns the facts of the device, and the function that answers a planned run with a run."""
    cache = InstanceCache()
    return device(), lambda question: row_of(compute(PlannedRun(**question), cache))


if __name__ == "__main__":
    serve(prepare)
