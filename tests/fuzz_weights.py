"""Damages files of weights and reads them: every outcome except a network or an `InputError` is a fault.

    python -m tests.fuzz_weights --minutes 5 [--seed 0]

The readers run in one process per batch, with a memory limit and a deadline per file; whatever ends the process is
counted and printed. libhdf5 is known to hang and crash, which is why `load_network` starts a separate process.
`tests/vgg/test_hostile_weights.py` has a short run.
"""

import argparse
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from jaxstyle.checks import InputError
from jaxstyle.vgg.formats.registry import read_network
from tests.hostile import limit_memory

#: Deadline (seconds) and memory limit (bytes) for a damaged file of a few kB; exceeding either is a fault.
SECONDS = 10
BYTES = 2**29
BATCH = 200

TINY = {
    "vgg16": ((2, 2), (2, 3), (3, 4), (3, 3), (3, 2)),
    "vgg19": ((2, 2), (2, 3), (4, 4), (4, 3), (4, 2)),
}

ROOT = Path(__file__).parent.parent

#: Bytes and words with which lengths, counts and offsets become extreme.
_BYTES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
_WORDS = (b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\x10\0", b"\0" * 8, b"\xff" * 8, b"\0" * 16)


def damage(data: bytes, random: np.random.Generator) -> bytes:
    """Returns `data` with one to four changes: other bytes or words, parts removed, copied or moved, an end cut off."""
    changed = bytearray(data)
    for _ in range(random.integers(1, 5)):
        # Two thirds of the changes are near the beginning or the end, where the file's structure is.
        near = random.integers(min(2000, len(changed)))
        place = int(random.choice([random.integers(len(changed)), near, len(changed) - 1 - near]))
        length = int(random.integers(1, 1 + min(200, len(changed) - place)))
        kind = random.integers(7)
        if kind == 0:
            changed[place] = random.integers(256)
        elif kind == 1:
            changed[place] = random.choice(_BYTES)
        elif kind == 2:
            changed[place] ^= 1 << random.integers(8)
        elif kind == 3:
            word = _WORDS[random.integers(len(_WORDS))]
            changed[place : place + len(word)] = word
        elif kind == 4:
            del changed[place : place + length]
        elif kind == 5:
            part = changed[place : place + length]
            start = int(random.integers(len(changed)))
            changed[start : start + (length if random.random() < 0.5 else 0)] = part
        elif random.random() < 0.2:
            del changed[place:]
        if not changed:
            return b"x"
    return bytes(changed)


def read_batch(folder: Path, seed: int, start: int, end: int) -> None:
    """Reads damaged files number `start` to `end`, and prints a line of JSON before and after each."""
    samples = sorted(folder.iterdir())
    limit_memory(BYTES)
    path = folder.with_name(f"{folder.name}-{start}")
    for number in range(start, end):
        random = np.random.default_rng([seed, number])
        path.write_bytes(damage(samples[number % len(samples)].read_bytes(), random))
        print(json.dumps([number, samples[number % len(samples)].name]), flush=True)
        signal.alarm(SECONDS)
        try:
            read_network(path, TINY)
            outcome = "network"
        except InputError as error:
            text = str(error)
            outcome = "refused" if text.isprintable() and len(text) < 2000 else f"message {text[:200]!r}"
        except MemoryError:  # `load_network`'s process reports it as an InputError
            outcome = "refused"
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        signal.alarm(0)
        print(json.dumps(outcome), flush=True)
    path.unlink()


def fuzz(samples: Path, *, seed: int, count: int | None = None, seconds: float = 1e9) -> tuple[Counter, list[str]]:
    """Reads `count` damaged files, or as many as fit into `seconds`.

    Returns:
        The number of files by outcome, and a line for each fault.
    """
    outcomes, faults, deadline = Counter(), [], time.monotonic() + seconds
    start = 0
    while time.monotonic() < deadline and (count is None or start < count):
        end = start + BATCH if count is None else min(start + BATCH, count)
        command = [sys.executable, "-m", "tests.fuzz_weights", "--seed", str(seed)]
        command += ["--batch", str(samples), str(start), str(end)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        if not lines:
            raise RuntimeError(result.stderr)
        for (number, name), outcome in itertools.zip_longest(lines[::2], lines[1::2]):
            if outcome is None:  # the process ended before it printed the second line
                code = result.returncode
                outcome = f"ended by {signal.Signals(-code).name}" if code < 0 else result.stderr[-500:]
            is_sound = outcome in ("network", "refused")
            outcomes[outcome if is_sound else "fault"] += 1
            if not is_sound:
                faults.append(f"seed {seed}, number {number}, {name}: {outcome}")
            start = number + 1
    return outcomes, faults


def main() -> None:
    """Runs the command line, and prints the outcomes and the faults."""
    parser = argparse.ArgumentParser(description="Damage files of weights and read them.")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.batch:
        folder, start, end = arguments.batch
        read_batch(Path(folder), arguments.seed, int(start), int(end))
        return
    from tests.vgg.test_formats import write_every_format

    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder, "samples")
        samples.mkdir()
        names = [path.name for path in write_every_format(samples)]
        outcomes, faults = fuzz(samples, seed=arguments.seed, seconds=60 * arguments.minutes)
    print(f"{outcomes.total()} files of {len(names)} kinds: {dict(outcomes)}")
    print("\n".join(faults))


if __name__ == "__main__":
    main()
