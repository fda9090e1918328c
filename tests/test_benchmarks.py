"""The benchmarks compare like with like, and count right."""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks.speed.__main__ import Worker, table
from benchmarks.speed.pictures import direct_flops, make_pictures
from benchmarks.speed.workers import make_jaxstyle_problem, make_plain_objective

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


def test_a_worker_answers_and_says_why_it_cannot(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    worker = Worker("jaxstyle", 32)
    answer = worker.run(2)
    worker.close()
    assert answer["seconds"] > 0
    assert answer["peak_bytes"] > 1e8
    with pytest.raises(RuntimeError, match="at least 16x16"):
        Worker("jaxstyle", 8)


def test_rows_become_a_table():
    rows = [
        {"program": "a", "size": 8, "seconds": 0.5, "least": 0.4, "most": 0.6, "ratio": 0.25, "peak_bytes": 2e9},
        {"program": "b", "size": 8, "skipped": "not installed"},
    ]
    lines = table(rows).splitlines()
    assert lines[2] == "| a | 8 | 0.5 (0.4 to 0.6) | 0.250 |  | 2.00 |"
    assert lines[3] == "| b | 8 | skipped: not installed | | | |"


def test_the_command_explains_itself():
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--rounds" in result.stdout
