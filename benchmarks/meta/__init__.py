"""The meta-trainer: tries optimizers and settings on one's own pictures, under a budget, and saves the best."""

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxstyle import __version__
from jaxstyle.checks import InputError, check_between, check_choice
from jaxstyle.cli.running import EXIT_INTERRUPTED
from jaxstyle.optimize.optimizer_table import OPTIMIZERS
from jaxstyle.output_files import check_distinct_files, check_new_file

if TYPE_CHECKING:
    from benchmarks.meta.outcomes import TrialOutcome

#: `asha` stops the worse trials early; `pbt` copies the better ones and changes their learning rates during the run.
ENGINES = ("asha", "pbt")

#: Smallest population whose best and worst quarters have a trial.
LEAST_POPULATION = 4

#: Smallest budget: each of its parts needs at least two evaluations.
LEAST_BUDGET = 20

#: Parameterizations that can start from a picture.
PARAMETERIZATIONS = ("pixels", "bounded", "fourier", "preconditioned", "laplacian")

#: Seconds between two lines of progress.
PROGRESS_SECONDS = 10.0


@dataclass(kw_only=True)
class Tune:
    """Try optimizers and their settings on one's own pictures, with Ray Tune, and write the best tried.

    Every trial repaints the content, small, with other settings, for the same number of evaluations of the loss and its
    gradient; its score is the lowest loss of the default objective. The settings of the best go into a file for
    `jaxstyle stylize --settings`. They were found at the size of the trials: methods whose steps are in proportion to
    the gradient, such as sgd, need other learning rates at other sizes.

    Attributes:
        content: Photograph to repaint: a file, or sample:NAME (see `jaxstyle samples`).
        styles: Paintings to take the style from: files, or sample:NAME.
        output: File of settings to write (.json).
        width: Width of the pictures in the trials.
        optimizers: Names of optimizers to try. Default: lbfgs adam nadam adabelief adan rmsprop; with pbt, those of
            them that have a learning rate.
        parameterizations: Parameterizations to try: pixels, bounded, fourier, preconditioned, laplacian.
        trials: Number of trials, in equal parts for the optimizers. With pbt, the size of the population.
        budget: Maximum number of evaluations of a trial.
        engine: asha (stops the worse trials early) or pbt (copies the better ones, with other learning rates; its
            result is a schedule of learning rates).
        address: Address of a Ray cluster whose machines have jaxstyle and this folder. Default: this machine's cores.
        scratch: Folder for temporary files, which are removed at the end; for a cluster of several machines, one that
            all of them share. Default: that of the system.
        jobs: Trials at the same time. Default: one for each core.
        seed: Seed of all random numbers.
        overwrite: Replace the output if it exists.
    """

    content: str
    styles: tuple[str, ...]
    output: str
    width: int = 128
    optimizers: tuple[str, ...] = ()
    parameterizations: tuple[str, ...] = ("pixels", "preconditioned", "fourier")
    trials: int = 48
    budget: int = 300
    engine: str = "asha"
    address: str | None = None
    scratch: str | None = None
    jobs: int | None = None
    seed: int = 0
    overwrite: bool = False

    def run(self) -> int:
        """Searches, prints a table of the best of each optimizer, and writes the settings of the best of all."""
        self.check()
        content, styles = self.read_pictures()
        try:
            from benchmarks.meta import engine
        except ImportError as error:
            advice = "install the extra `tune`: pip install 'jaxstyle[tune]' (in a checkout: pip install '.[tune]')"
            raise InputError("Ray Tune to be installed", f"none ({error})", advice) from None
        from benchmarks.meta.outcomes import best_of, markdown, settings_of, table
        from benchmarks.meta.space import sample
        from jaxstyle.run_config import write_settings

        clock = time.perf_counter()
        task = engine.SearchTask(content, styles, self.seed, self.budget, self.engine)
        candidates = sample(self.names(), self.trials, self.parameterizations, self.seed)
        jobs = self.jobs or os.cpu_count() or 1
        found = engine.search(
            task, candidates, jobs=jobs, address=self.address, scratch=self.scratch, report=self._reporter()
        )
        if found.is_interrupted and not found.outcomes:
            raise KeyboardInterrupt
        if found.error:
            print(f"tune: a trial ended with an error: {found.error}", file=sys.stderr)
        best, rows = best_of(found.outcomes), table(found.outcomes)
        facts = self._provenance(found.evaluations, best, rows, content.shape, time.perf_counter() - clock)
        settings = settings_of(best, facts)
        print(markdown(rows))
        write_settings(self.output, settings, overwrite=self.overwrite)  # before the replay, which may fail
        if not found.is_interrupted:
            replayed = task.runner().replay(settings)
            settings = settings_of(best, {**facts, "replayed_loss": replayed})
            write_settings(self.output, settings, overwrite=True)
        print(f"\nbest: {settings.optimizer}, loss {best.loss:.6g} after {best.evaluations} evaluations", end="")
        print("" if found.is_interrupted else f"; run again by itself: {settings.provenance['replayed_loss']:.6g}")
        for step, rate in settings.schedule:
            print(f"  from step {step}: learning rate {rate:g}")
        return EXIT_INTERRUPTED if found.is_interrupted else 0

    def check(self) -> None:
        """Raises for all errors that can be found before the work starts, those of the output file included."""
        check_choice("--engine", self.engine, ENGINES)
        for name in self.optimizers:
            check_choice("each of the --optimizers", name, OPTIMIZERS)
            spec = OPTIMIZERS[name]
            if self.engine == "pbt" and (spec.rate != "learning_rate" or spec.reads_rate_once):
                raise InputError(
                    "optimizers with a learning rate at every step, for pbt", name, "leave it out or use --engine asha"
                )
        for name in self.parameterizations:
            check_choice("each of the --parameterizations", name, PARAMETERIZATIONS)
        for flag, values in (("--styles", self.styles), ("--parameterizations", self.parameterizations)):
            if not values:
                raise InputError(f"at least one name after {flag}", "none", "give one")
        least = max(len(self.names()), LEAST_POPULATION if self.engine == "pbt" else 1)
        check_between("--trials", self.trials, least, 100_000)
        check_between("--budget", self.budget, LEAST_BUDGET, 10_000_000)
        check_between("--seed", self.seed, 0, 2**32 - 1)
        check_between("--width", self.width, 1, 4096)
        if self.jobs is not None:
            check_between("--jobs", self.jobs, 1, 4096)
        if self.jobs is not None and self.address is not None:
            raise InputError("--jobs or --address", "both", "leave --jobs out: a cluster has its own limit")
        if self.scratch is not None and not Path(self.scratch).is_dir():
            raise InputError("a folder for --scratch", repr(self.scratch), "create it first")
        check_distinct_files([self.output], [self.content, *self.styles])
        check_new_file(self.output, overwrite=self.overwrite)

    def names(self) -> tuple[str, ...]:
        """Returns the names of the optimizers to try, each once."""
        from benchmarks.meta.space import SHORTLIST

        if self.optimizers:
            return tuple(dict.fromkeys(self.optimizers))
        return tuple(name for name in SHORTLIST if self.engine == "asha" or OPTIMIZERS[name].rate)

    def read_pictures(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Returns the content and the styles in the size of the trials."""
        from jaxstyle.cli.pictures import read_scaled
        from jaxstyle.problems.pictures import check_picture
        from jaxstyle.problems.style_transfer import StyleTransferConfig
        from jaxstyle.vgg.layers import minimum_size

        least = minimum_size([layer for layers in StyleTransferConfig().used_layers() for layer in layers])
        pictures = [read_scaled(name, self.width, "white") for name in (self.content, *self.styles)]
        for name, picture in zip((self.content, *self.styles), pictures, strict=True):
            check_picture(name, picture, least)
        return pictures[0], pictures[1:]

    def _provenance(
        self, evaluations: int, best: "TrialOutcome", rows: list[Any], shape: Sequence[int], seconds: float
    ) -> dict[str, Any]:
        names = [name if name.startswith("sample:") else Path(name).name for name in (self.content, *self.styles)]
        versions = {name: version(name) for name in ("jax", "optax", "ray")}
        return {
            "made_by": "python -m benchmarks tune",
            "engine": self.engine,
            "content": names[0],
            "styles": names[1:],
            "height": int(shape[0]),
            "width": int(shape[1]),
            "trials": self.trials,
            "budget": self.budget,
            "evaluations": evaluations,
            "seed": self.seed,
            "seconds": round(seconds, 1),
            "best_loss": best.loss,
            "by_optimizer": rows,
            "versions": {"jaxstyle": __version__, "python": platform.python_version(), **versions},
        }

    def _reporter(self) -> Any:
        """Returns a function that prints the progress of the search on stderr, every few seconds."""
        start = last = time.monotonic()

        def report(outcomes: Sequence["TrialOutcome"], evaluations: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < PROGRESS_SECONDS:
                return
            last = now
            best = min(outcomes, key=lambda outcome: outcome.loss)
            begun = len({outcome.trial for outcome in outcomes})
            print(
                f"tune: {now - start:.0f} s, {begun} of {self.trials} trials begun, {evaluations} evaluations, best "
                f"{best.loss:.5g} ({best.candidate.optimizer})",
                file=sys.stderr,
                flush=True,
            )

        return report
