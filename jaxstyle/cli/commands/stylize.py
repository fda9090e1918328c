"""`jaxstyle stylize`: the main job. Its flags keep the names, meanings and defaults that neural-style users know."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxstyle.checks import InputError, check_between, check_new_file, check_positive
from jaxstyle.cli.checkpoints import checkpoint_name, checkpoint_names
from jaxstyle.cli.compilation_cache import CompilationCache
from jaxstyle.cli.objective import MATMUL_PRECISIONS, ObjectiveFlags, describe, read_scaled, resize_to
from jaxstyle.cli.records import to_json

if TYPE_CHECKING:
    from jaxstyle.cli.report import Report
    from jaxstyle.runs import Progress, Result

EXIT_FAILED = 3
EXIT_INTERRUPTED = 130

#: Steps are counted in 32 bits.
MOST_STEPS = 2**31 - 2

#: Iterations that --stop-delta has time for, where --stop-patience does not say.
DEFAULT_PATIENCE = 50

#: How many checkpoints' places are checked before the start: enough for any run one waits for.
CHECKED_CHECKPOINTS = 10_000


@dataclass(kw_only=True)
class Stylize(ObjectiveFlags):
    """Repaint a photograph in the style of one or more paintings.

    Attributes:
        output: Picture to write; its ending chooses the format (.png .jpg .webp .tif).
        iterations: Steps of the optimizer.
        width: Width of the result; its height keeps the content's shape. Default: the content's own width.
        initial: Picture to start from, resized to the content. Default: noise.
        initial_noiseblend: Share of noise in the initial picture, in [0, 1]; below 1 without --initial, the rest is
            the content. Default: 0 with --initial, else 1.
        preserve_colors: Keep the content's colors and take only the luminance of the result.
        optimizer: Name of the optimizer: adam, lbfgs, sgd, momentum, ... (an unknown name lists them all).
        learning_rate: Step size, on the scale of 0..255 pixels. Default: the optimizer's own, 10 for adam.
        beta1: First decay rate of the Adam family. Default: the optimizer's own, 0.9 for adam.
        beta2: Second decay rate of the Adam family. Default: the optimizer's own, 0.999 for adam.
        eps: Small number of the Adam family. Default: the optimizer's own, 1e-8 for adam.
        optimizer_options: More of the optimizer's options, as NAME=VALUE: for instance memory_size=50 of lbfgs.
        seed: Seed of the noise: the same seed gives the same picture on the same machine.
        stop_delta: Stop when the best loss improved by less than this share over --stop-patience iterations.
        stop_patience: Iterations without such an improvement before stopping. Default: 50 with --stop-delta; 0 never
            stops early.
        print_iterations: Print the loss every so many iterations. Default: only the first and the last.
        checkpoint_output: Where to write the best picture so far: a file name with {}, {:05}, %d, %05d or %s for the
            iteration.
        checkpoint_iterations: How often to write it, in iterations.
        progress_write: Write the losses of the printed iterations to progress.txt beside the output.
        progress_plot: Plot them to progress.png beside the output.
        history: JSON-lines file for the printed iterations; every tenth where --print-iterations does not say. An
            optimizer with a line search takes one evaluation more for each.
        summary: JSON file for the outcome and every flag's value.
        compilation_cache: Folder that keeps compiled programs for the next run, or off. Default: a private one of
            the user's.
        bit_depth: 8, or 16 for .png and .tif.
        overwrite: Replace files that exist.
        quiet: Print nothing but errors.
    """

    output: str
    iterations: int = 1000
    width: int | None = None
    initial: str | None = None
    initial_noiseblend: float | None = None
    preserve_colors: bool = False
    optimizer: str = "adam"
    learning_rate: float | None = None
    beta1: float | None = None
    beta2: float | None = None
    eps: float | None = None
    optimizer_options: tuple[str, ...] = ()
    seed: int = 0
    stop_delta: float = 0.0
    stop_patience: int | None = None
    print_iterations: int | None = None
    checkpoint_output: str | None = None
    checkpoint_iterations: int | None = None
    progress_write: bool = False
    progress_plot: bool = False
    history: str | None = None
    summary: str | None = None
    compilation_cache: str | None = None
    bit_depth: int = 8
    overwrite: bool = False
    quiet: bool = False

    def run(self) -> int:
        """Repaints and returns the exit code."""
        self.check()
        optimizer = self._make_optimizer()
        config = self.config(self.initial_noiseblend)
        network = self.load_network()
        content, styles, initial = self._read_pictures()

        import jax

        from jaxstyle.cli.report import Report
        from jaxstyle.loop import minimize
        from jaxstyle.problems.style_transfer import make_problem
        from jaxstyle.runs import StopRule

        cache = CompilationCache.enable(self.compilation_cache)
        precision = jax.default_matmul_precision(MATMUL_PRECISIONS[self.matmul_precision])
        with precision:
            problem = make_problem(config, network.params, content, styles, initial=initial)
        introduction, checksum = describe(network), network.checksum
        del network  # the problem has what it needs of it; 80 MB less while it runs
        with Report(self, self._report_iterations()) as report, precision:
            report.say(introduction)
            if cache.complaint:
                report.say(cache.complaint)
            height, width, _ = content.shape
            where = f"{jax.devices()[0].device_kind}, {self.dtype}, {self.matmul_precision} matrix precision"
            report.say(f"{width}x{height} pixels, {self.optimizer}, on {where}; compiling ...")
            asked = report.interruptions()

            def after_chunk(progress: "Progress") -> bool:
                report.progress(progress)
                if progress.step > 0 and progress.step % (self.checkpoint_iterations or self.iterations + 1) == 0:
                    name = checkpoint_name(self.checkpoint_output or "", progress.step)
                    try:
                        self._write(name, problem.render_fn(progress.state.best_params, problem.args), content)
                    except OSError as error:  # a full disk must not cost the run
                        report.warn(f"no checkpoint at iteration {progress.step}: {error}")
                return bool(asked)

            result = minimize(
                problem,
                optimizer,
                key=jax.random.key(self.seed),
                num_steps=self.iterations,
                stop=StopRule(self.stop_delta, self._patience()),
                report_every=(self._report_iterations(), self.checkpoint_iterations or 0),
                callback=after_chunk,
            )
            self._write_result(report, problem.render_fn(result.best_params, problem.args), content)
            self._finish(report, result, checksum, cache)
        return _exit_code(result)

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts, the places to write to included."""
        super().check()
        for name in ("width", "print_iterations", "checkpoint_iterations"):
            if getattr(self, name) is not None:
                check_positive("--" + name.replace("_", "-"), getattr(self, name))
        if self.initial_noiseblend is not None:
            check_between("--initial-noiseblend", self.initial_noiseblend, 0, 1)
        check_between("--stop-delta", self.stop_delta, 0, 1)
        if self.stop_patience is not None:
            check_between("--stop-patience", self.stop_patience, 0, MOST_STEPS)
        check_between("--iterations", self.iterations, 1, MOST_STEPS)
        check_between("--seed", self.seed, 0, 2**32 - 1)
        if (self.checkpoint_output is None) != (self.checkpoint_iterations is None):
            got = "one of them" if self.checkpoint_output is None else "no --checkpoint-iterations"
            raise InputError("--checkpoint-output together with --checkpoint-iterations", got, "pass both or neither")
        self._check_places()

    def _check_places(self) -> None:
        from jaxstyle.image_files import check_output, parse_color

        parse_color(self.matte)
        pictures = [self.output]
        if self.checkpoint_output is not None:
            last = min(self.iterations, CHECKED_CHECKPOINTS * (self.checkpoint_iterations or 1))
            pictures += checkpoint_names(self.checkpoint_output, last, self.checkpoint_iterations or 1)
        for picture in pictures:
            check_output(picture, overwrite=self.overwrite, bit_depth=self.bit_depth)
        texts = [text for text in (self.history, self.summary) if text is not None]
        folder = Path(self.output).parent
        texts += [str(folder / "progress.txt")] * self.progress_write
        texts += [str(folder / "progress.png")] * self.progress_plot
        for text in texts:
            check_new_file(text, overwrite=self.overwrite)
        places = [Path(place).resolve() for place in (*pictures, *texts)]
        if len(set(places)) < len(places):
            raise InputError(
                "a place of its own for each file to write", "one place for two", "change one of the names"
            )

    def _make_optimizer(self) -> Any:
        from jaxstyle.optimizers import make_optimizer

        options: dict[str, Any] = {
            name: value
            for name, value in (
                ("learning_rate", self.learning_rate), ("b1", self.beta1), ("b2", self.beta2), ("eps", self.eps)
            )
            if value is not None
        }  # fmt: skip
        for item in self.optimizer_options:
            name, equals, value = item.partition("=")
            if not equals:
                raise InputError("--optimizer-options as NAME=VALUE", repr(item), "write for instance memory_size=50")
            options[name] = value
        return make_optimizer(self.optimizer, **options)

    def _read_pictures(self) -> tuple[np.ndarray, list[np.ndarray], np.ndarray | None]:
        content = read_scaled(self.content, self.width, self.matte)
        height, width, _ = content.shape
        initial = None
        if self.initial is not None:
            initial = resize_to(read_scaled(self.initial, None, self.matte), height, width)
        return content, self.read_styles(width), initial

    def _patience(self) -> int:
        if self.stop_patience is None:
            return DEFAULT_PATIENCE if self.stop_delta > 0 else 0
        return self.stop_patience

    def _reports_history(self) -> bool:
        return bool(self.history or self.progress_write or self.progress_plot)

    def _report_iterations(self) -> int:
        if self.print_iterations is not None:
            return self.print_iterations
        from jaxstyle.cli.report import HISTORY_ITERATIONS

        return HISTORY_ITERATIONS if self._reports_history() else 0

    def _write(self, place: str, picture: Any, content: np.ndarray) -> None:
        from jaxstyle.image_files import write_picture
        from jaxstyle.images import preserve_colors

        if self.preserve_colors:
            picture = preserve_colors(picture.clip(0, 1), content)
        write_picture(place, np.asarray(picture), bit_depth=self.bit_depth, overwrite=self.overwrite)

    def _write_result(self, report: "Report", picture: Any, content: np.ndarray) -> None:
        """Writes the result; if its place has become unusable, writes it beside it and complains."""
        try:
            self._write(self.output, picture, content)
        except OSError as error:
            place = Path(self.output)
            rescue = place.with_name(f"{place.stem}-rescued-{time.time_ns()}{place.suffix}")
            self._write(str(rescue), picture, content)
            report.warn(f"the picture was saved as {str(rescue)!r} instead of {self.output!r}: {error}")

    def _finish(self, report: "Report", result: "Result", checksum: str, cache: CompilationCache) -> None:
        """Says how the run ended and writes the summary and the plots."""
        import jax

        from jaxstyle import __version__

        report.finish(result)
        if self.summary is None:
            return
        record = {
            **result.best_terms,
            "total": result.best_loss,
            "best_iteration": result.best_step,
            "iterations": len(result.trace.loss) - 1,
            "evaluations": int(result.trace.evaluations[-1]),
            "status": result.status.name.lower(),
            "compile_seconds": result.compile_seconds,
            "compilation_cache": cache.summary(),
            "run_seconds": result.run_seconds,
            "device": jax.devices()[0].device_kind,
            "platform": jax.default_backend(),
            "matmul_precision": self.matmul_precision,
            "network": checksum,
            "seed": self.seed,
            "versions": {"jaxstyle": __version__, "jax": jax.__version__},
            "flags": asdict(self),
        }
        report.write_text(self.summary, to_json(record, indent=1) + "\n")


def _exit_code(result: "Result") -> int:
    from jaxstyle.runs import Status

    if result.status == Status.INTERRUPTED:
        return EXIT_INTERRUPTED
    return EXIT_FAILED if result.status.has_failed else 0
