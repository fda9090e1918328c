"""The process that computes: `python -m benchmarks.worker` reads a task a line and answers each with a run.

A process of its own, so that a run that hangs or takes all memory costs that run and nothing else.
"""

import base64
import json
import os
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import jax
import numpy as np

from benchmarks.engine import Kept, Outcome, run_method
from benchmarks.methods import METHODS
from benchmarks.problems.registry import PROBLEMS
from benchmarks.protocol import Task
from benchmarks.records import Run, row_of
from jaxstyle.checks import DoesNotFitError
from jaxstyle.pictures.image_files import write_picture


def compute(task: Task, kept: Kept) -> Run:
    """Runs a task; whatever happens becomes a status."""
    entry, method = PROBLEMS[task.problem], METHODS[task.method]
    try:
        outcome = run_method(entry, task.instance, method, task.settings, task.seed, task.budget, kept)
    except (DoesNotFitError, MemoryError) as error:
        return Run(**task._asdict(), status="oom", reason=_one_line(error))
    except Exception as error:
        status = "oom" if "RESOURCE_EXHAUSTED" in str(error) else "error"
        traceback.print_exc()
        return Run(**task._asdict(), status=status, reason=f"{type(error).__name__}: {_one_line(error)}")
    wants_picture = task.stage != "tuning" and task.number == 0 and outcome.picture is not None
    return _run_of(task, outcome, _to_png(outcome.picture) if wants_picture else None)


def _run_of(task: Task, outcome: Outcome, picture: str | None) -> Run:
    points, trace = outcome.trace.points(task.budget), outcome.trace
    return Run(
        **task._asdict(),
        status=outcome.status,
        reason=outcome.reason,
        evaluations=trace.evaluations[-1],
        steps=trace.steps[-1],
        seconds=trace.seconds[-1],
        compile_seconds=outcome.compile_seconds,
        peak_bytes=outcome.peak_bytes,
        initial=outcome.initial,
        best=points[-1].best,
        picture=picture,
        points=points,
    )


def _to_png(picture: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        write_picture(str(path), np.asarray(picture))
        return base64.b64encode(path.read_bytes()).decode()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def main() -> None:
    """Answers until the input ends; then at once, in the middle of a run: nobody waits for it any more."""
    # Whatever prints, C libraries and their processes included, must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    kept, lines = Kept(), SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    print(
        json.dumps({"device": jax.devices()[0].device_kind, "platform": jax.default_backend()}),
        file=answers,
        flush=True,
    )
    while True:
        task = Task(**json.loads(lines.get()))
        print(json.dumps(row_of(compute(task, kept)), allow_nan=False), file=answers, flush=True)


if __name__ == "__main__":
    main()
