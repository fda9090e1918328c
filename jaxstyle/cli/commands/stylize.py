"""`jaxstyle stylize`: style transfer. Its flags have the names and meanings of those of anishathalye/neural-style."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from jaxstyle.checks import InputError, check_positive
from jaxstyle.cli.flags import flags_of
from jaxstyle.cli.inputs import ObjectiveFlags, SizeFlags
from jaxstyle.cli.running import CheckpointFlags
from jaxstyle.knobs import Check
from jaxstyle.optimize.optimizer_table import OPTIMIZERS
from jaxstyle.run_config import AUTO, CLASSIC, RunConfig, read_settings


@dataclass(kw_only=True)
class Stylize(CheckpointFlags, SizeFlags, ObjectiveFlags):
    """Repaint a photograph in the style of one or more paintings.

    With --optimizer auto, L-BFGS optimizes preconditioned pixels, starts from the content and stops when 20 iterations
    gain less than 1 %; each of these has a flag of its own. --optimizer adam is the default of
    anishathalye/neural-style: 1000 iterations at rate 10, from noise. `jaxstyle samples` lists the samples.

    Attributes:
        optimizer: Name of the optimizer: auto, adam, lbfgs, sgd, momentum, ... (a wrong name lists all names). Default:
            auto.
        settings: File with an optimizer and its options, instead of --optimizer: from `python -m benchmarks tune`, or
            the --summary of an earlier run, which is repeated. Other flags override it.
        iterations: Maximum number of iterations (steps of the optimizer). Default: 1000; 500 with auto.
        parameterization: What is optimized: pixels; bounded (pixels within 0..255); fourier (waves in uncorrelated
            colors); preconditioned (pixels whose large forms change as fast as fine detail); laplacian (a pyramid);
            network (a small network that maps positions to colors). Default: pixels; preconditioned with auto.
        stop_delta: Stop when the best loss improved by less than this share over --stop-patience iterations. Default:
            0; 0.01 with auto.
        stop_patience: Number of iterations over which --stop-delta measures; 0 never stops early. Default: 50 with
            --stop-delta; 20 with auto.
        initial: Picture to start from: a file or sample:NAME. Default: noise; the content with auto.
        initial_noiseblend: Share of noise in the initial picture, in [0, 1]; the rest is --initial or the content.
            Default: 0 with --initial or auto, otherwise 1.
        seed: Seed of the noise. The same seed gives the same picture.
        scale_style_scales: A factor for --style-scales at each of the --scales. Default: 1.
        preserve_colors: Keep the colors of the content.
        summary: JSON file for the outcome and the values of all flags; --settings reads it.
    """

    optimization: RunConfig = AUTO
    settings: str | None = None
    initial: str | None = None
    scale_style_scales: Annotated[tuple[float, ...], Check(check_positive)] = ()
    preserve_colors: bool = False

    @classmethod
    def presets(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Returns the preset of `RunConfig`: the file of --settings, `AUTO`, or `CLASSIC` for a named optimizer.

        Raises:
            InputError: If --settings names a file that cannot be used, or is given together with --optimizer; or for
                options of an optimizer together with auto.
            OSError: If there is no such file.
        """
        if given.get("initial") is not None:
            given.setdefault("initial_noiseblend", None)
        if given.get("optimizer", "auto") != "auto":
            if given.get("settings") is not None:
                raise InputError("--settings or --optimizer", "both", "leave one of them out")
            return {"optimization": CLASSIC}
        given.pop("optimizer", None)
        if given.get("settings") is not None:
            return {"optimization": read_settings(given["settings"])}
        options = [word.partition("=")[0] for word in given.get("optimizer_options") or ()]
        options += [flag.key for flag in flags_of(cls) if flag.key and given.get(flag.name) is not None]
        if options:
            fit = [name for name, spec in OPTIMIZERS.items() if set(options) <= set(spec.defaults)]
            advice = f"add for instance --optimizer {fit[0]}" if fit else "name an optimizer that has them"
            raise InputError(
                "the name of an optimizer together with its options", "--optimizer auto, which chooses them", advice
            )
        return {"optimization": AUTO}

    @property
    def is_auto(self) -> bool:
        """Whether the optimizer is the automatic choice."""
        return self.settings is None and "optimizer" not in self.given

    @property
    def choice(self) -> str:
        """The line about the automatic choice, or about the settings file; empty if --optimizer was given."""
        if "optimizer" in self.given:
            return ""
        how = self.optimization
        start = {0.0: ", from the content", 1.0: ", from noise"}.get(how.initial_noiseblend or 0.0, "")
        start = "" if how.initial_noiseblend is None else start
        return f"{self.settings or 'auto'}: {how.optimizer}, {how.parameterization}{start}"

    def check(self) -> None:
        """Raises for every mistake that can be found before the work starts, in the files to write too."""
        self.check_size()
        self.check_objective()
        if Path(self.content).is_dir():
            line = (
                f"jaxstyle grid --content {shlex.quote(self.content)}/* ... --output sheet.png --pictures out_{{}}.png"
            )
            raise InputError("one picture for --content", f"the folder {self.content!r}", f"for all of it write {line}")
        how = self.optimization
        if how.parameterization == "network" and self.initial is not None:
            raise InputError(
                "noise to start from with --parameterization network",
                "a picture",
                "leave --initial and --initial-noiseblend out, or choose another parameterization",
            )
        if self.scale_style_scales and len(self.scale_style_scales) != len(how.steps()):
            raise InputError(
                f"{len(how.steps())} --scale-style-scales, one for each scale",
                len(self.scale_style_scales),
                "pass one for each",
            )
        super().check()

    def why_no_seed(self) -> str:
        """Returns why --seed has no effect, with a flag that gives it one; an empty text if it has an effect."""
        noise = self.optimization.initial_noiseblend
        if self.optimization.parameterization == "network" or noise or (noise is None and self.initial is None):
            return ""
        start = "the content" if self.initial is None else "--initial"
        return f"the run starts from {start} without noise; --initial-noiseblend 0.1 would bring some in"

    def style_factors(self, height: int, width: int) -> dict[int, float]:
        """Returns the factor to --style-scales at each width, for a result of that size."""
        widths = [width for _, width in self.optimization.sizes(height, width)]
        return dict(zip(widths, self.scale_style_scales or [1.0] * len(widths), strict=True))


COMMANDS = {"stylize": Stylize}
