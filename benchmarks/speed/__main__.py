"""Measures, and prints a Markdown table: `python -m benchmarks.speed`.

Every program waits in a process of its own; they take turns, round after round, so that a machine whose speed drifts
affects all alike. The table has the median over the rounds, the range, and the median of the ratios to the reference
within each round.
"""

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.command_line import run_main
from benchmarks.environment import device, processor, versions
from benchmarks.markdown import table_lines
from benchmarks.methods import is_installed
from benchmarks.processes import Worker
from benchmarks.speed import pastiche_peer
from benchmarks.speed.pictures import direct_flops
from benchmarks.speed.workers import PROGRAMS
from jaxstyle.checks import InputError, check_choice

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


#: Seconds that a program may take for its turn.
TURN_SECONDS = 3600.0


def measure_size(programs: Sequence[str], size: int, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Returns a row for each program, measured in turns."""
    rows, workers, ready = [], {}, {}
    with ExitStack() as stack:
        for program in programs:
            if program.startswith("PyTorch") and not is_installed("torch"):
                reason = "torch is not installed: pip install .[benchmarks]"
                rows.append({"program": program, "size": size, "skipped": reason})
                continue
            command = (sys.executable, "-m", "benchmarks.speed.workers", program, str(size))
            workers[program] = stack.enter_context(Worker(command))
            try:
                ready[program] = workers[program].start()
            except InputError as error:
                rows.append({"program": program, "size": size, "skipped": str(error)})
                del workers[program]
        ask = lambda program, count: workers[program].ask(count, TURN_SECONDS)
        counts = {program: max(1, min(200, round(seconds / ask(program, 1)["seconds"]))) for program in workers}
        times: dict[str, list[float]] = {program: [] for program in workers}
        peaks: dict[str, float] = {}
        for number in range(rounds):
            # The order alternates, so that a program that heats the machine is not always before the same one.
            for program in workers if number % 2 == 0 else reversed(workers):
                answer = ask(program, counts[program])
                times[program].append(answer["seconds"])
                peaks[program] = answer["peak_bytes"]
    for program, own in times.items():
        reference = times.get(REFERENCE)
        row = {
            "program": program,
            "size": size,
            "rounds": rounds,
            "evaluations_per_round": counts[program],
            "seconds": statistics.median(own),
            "least": min(own),
            "most": max(own),
            "all_seconds": own,
            "gflops": direct_flops(size) / statistics.median(own) / 1e9,
            "peak_bytes": peaks[program],
            **ready[program],
        }
        if reference:
            row["ratio"] = statistics.median(a / b for a, b in zip(own, reference, strict=True))
        rows.append(row)
    return rows


def measure_pastiche(rounds: int, short: int, long: int) -> list[dict[str, Any]]:
    """Returns rows for pastiche and jaxstyle, end to end."""
    if not (is_installed("pastiche") and is_installed("torch")):
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
    lines = []
    for row in rows:
        if "skipped" in row:
            lines.append((row["program"], row.get("size", ""), f"skipped: {row['skipped']}", "", "", ""))
            continue
        seconds = f"{row['seconds']:.4g} ({row['least']:.4g} to {row['most']:.4g})"
        ratio = f"{row['ratio']:.3f}" if "ratio" in row else ""
        if "ratio_to_pastiche" in row:
            ratio = f"{row['ratio_to_pastiche']:.3f} of pastiche's"
        gflops = f"{row['gflops']:.0f}" if "gflops" in row else ""
        peak = f"{row['peak_bytes'] / 1e9:.2f}" if "peak_bytes" in row else ""
        lines.append((row["program"], row["size"], seconds, ratio, gflops, peak))
    heads = ("program", "size", "seconds (least to most)", f"/ {REFERENCE}", "direct GFLOP/s", "peak memory, GB")
    return "\n".join(table_lines(heads, lines))


def main(
    sizes: tuple[int, ...] = (256, 512),
    programs: tuple[str, ...] = DEFAULT_PROGRAMS,
    rounds: int = 7,
    seconds: float = 4.0,
    pastiche: tuple[int, int] | None = None,
    out: Path | None = None,
) -> None:
    """Measures programs, prints the table, and appends the rows to a JSON-lines file.

    Args:
        sizes: Widths and heights of the pictures.
        programs: Names of programs.
        rounds: Number of turns of each program.
        seconds: Approximate duration of each program's turn.
        pastiche: Iterations of the shorter and of the longer run of pastiche; None to leave it out.
        out: JSON-lines file to append to.
    """
    for program in programs:
        check_choice("--programs", program, PROGRAMS)
    from benchmarks.speed.ceilings import measure_ceilings

    where = {"versions": versions("pastiche"), "processor": processor(), **device()}
    ceilings = measure_ceilings()
    print(f"{where['device']} ({where['platform']}), {where['versions']}", flush=True)
    print("; ".join(f"{name}: {value:.1f}" for name, value in ceilings.items()), flush=True)
    rows: list[dict[str, Any]] = []
    for size in sizes:
        rows += measure_size(programs, size, rounds, seconds)
        print(f"\n{table(rows[-len(programs) :])}", flush=True)
    if pastiche:
        rows += measure_pastiche(min(3, rounds), *pastiche)
        print(f"\n{table(rows[-2:])}", flush=True)
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({**row, "ceilings": ceilings, "environment": where}) + "\n" for row in rows)


if __name__ == "__main__":
    run_main(main, "python -m benchmarks.speed", __doc__)
