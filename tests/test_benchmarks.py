"""The benchmarks compare like with like, and count right."""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks.processes import Worker
from benchmarks.speed.__main__ import table
from benchmarks.speed.pictures import direct_flops, make_pictures
from benchmarks.speed.workers import make_jaxstyle_problem, make_plain_objective
from jaxstyle.checks import InputError

ROOT = Path(__file__).parent.parent


def test_plain_jax_computes_the_same_objective():
    pixels = make_pictures(32)[0] * 255
    problem = make_jaxstyle_problem(32)
    loss, args = make_plain_objective(32)
    (expected, _), expected_grad = jax.value_and_grad(problem.loss_fn, has_aux=True)(pixels, problem.args, None)
    (found, _), grad = jax.value_and_grad(loss, has_aux=True)(pixels, args, None)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.linalg.norm(grad - expected_grad) < 1e-3 * np.linalg.norm(expected_grad)


def test_operations_of_a_gradient_by_hand():
    # 16 x 16 pixels: 13 convolutions and 5 Gram matrices, each once forward and once backward.
    forward = 2 * 9 * (256 * (3 * 64 + 64 * 64) + 64 * (64 * 128 + 128**2) + 16 * (128 * 256 + 3 * 256**2))
    forward += 2 * 9 * (4 * (256 * 512 + 3 * 512**2) + 512**2)
    forward += 2 * (256 * 64**2 + 64 * 128**2 + 16 * 256**2 + 4 * 512**2 + 512**2)
    assert direct_flops(16) == 2 * forward


def test_a_program_in_a_process_answers_and_says_why_it_cannot():
    command = (sys.executable, "-m", "benchmarks.speed.workers", "jaxstyle")
    with Worker((*command, "32")) as worker:
        assert worker.start()["ready_seconds"] > 0
        answer = worker.ask(2, 60)
    assert answer["seconds"] > 0
    assert answer["peak_bytes"] > 1e8
    with Worker((*command, "8")) as worker, pytest.raises(InputError, match="at least 16x16"):
        worker.start()


def test_rows_become_a_table():
    rows = [
        {"program": "a", "size": 8, "seconds": 0.5, "least": 0.4, "most": 0.6, "ratio": 0.25, "peak_bytes": 2e9},
        {"program": "b", "size": 8, "skipped": "not installed"},
    ]
    lines = table(rows).splitlines()
    assert lines[2] == "| a | 8 | 0.5 (0.4 to 0.6) | 0.250 |  | 2.00 |"
    assert lines[3] == "| b | 8 | skipped: not installed |  |  |  |"


def test_the_command_explains_itself():
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--rounds" in result.stdout


def test_listing_loads_no_jax():
    code = "import sys; from benchmarks.__main__ import main; main(['list']); print('jax' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = result.stdout.splitlines()
    assert lines[-1] == "False"
    assert lines[-2].startswith("methods: adam, lbfgs,")


def test_a_reader_that_ends_early_is_no_error():
    line = [sys.executable, "-m", "benchmarks", "list"]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
