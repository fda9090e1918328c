"""`jaxstyle paint`: a small network learns a picture by heart, and paints it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from jaxstyle.checks import MOST_STEPS, InputError, check_between, check_not_negative, check_positive
from jaxstyle.cli.checkpoints import checkpoint_name, checkpoint_names
from jaxstyle.cli.pictures import MAX_SIDE, SizeFlags, read_scaled
from jaxstyle.cli.records import to_json
from jaxstyle.cli.running import CHECKED_CHECKPOINTS, RunFlags

if TYPE_CHECKING:
    from jaxstyle.cli.session import Session
    from jaxstyle.optimize.records import Progress
    from jaxstyle.problems.painter import PainterConfig

#: Published with the exercise: Adam's rate for it.
LEARNING_RATE = 1e-3

#: Where no size is asked for: the network learns a small picture in minutes.
WIDTH = 64

#: Frequencies of the modern answer, where --compare asks for it.
FOURIER_FEATURES = 256


@dataclass(kw_only=True)
class Paint(RunFlags, SizeFlags):
    """Paint a picture with a small network that learns the color at each position.

    The classic exercise: 2-64-64-64-64-64-64-3, ReLU, batches of 50 pixels, absolute error. --fourier-features gives
    the modern answer (Tancik et al. 2020), --compare both side by side. What --holes leaves out is filled in.

    Attributes:
        picture: Picture to learn: a file or sample:NAME.
        width: Width in pixels; the shape is kept. Default: 64.
        epochs: How many times as many pixels as the picture has are shown.
        batch_size: Pixels per step.
        hidden_widths: Units of each hidden layer.
        weight_deviation: Standard deviation of the initial weights.
        fourier_features: Frequencies put before the network, as 256; 0 for the classic network.
        fourier_scale: Their standard deviation, in cycles per side.
        compare: Learn with the classic network and with Fourier features, and write both beside the picture.
        holes: Mask of the parts to leave out and fill in (white), of the picture's own size.
        paint_width: Width to paint at; the network knows no pixels. Default: that of the picture it learned.
        learning_rate: Step size. Default: 0.001.
        print_epochs: Print the cost over all pixels every N epochs.
        curve: CSV or JSON-lines file for the cost after every epoch.
        frames: Where to write a picture while it learns: a name with {} or {:04} for the epoch.
        animation: Animated .gif or .webp of these pictures.
        frame_epochs: Take such a picture every N epochs.
        matte: Behind transparent pixels: a name or #rrggbb.
        seed: Seed of the network and of the pixels' order: the same seed, the same picture, on the same machine.
        iterations: Follows from the epochs.
    """

    picture: Annotated[str, tyro.conf.Positional]
    epochs: int = 500
    batch_size: int = 50
    hidden_widths: tuple[int, ...] = (64,) * 6
    weight_deviation: float = 0.1
    fourier_features: int = 0
    fourier_scale: float = 5.0
    compare: bool = False
    holes: str | None = None
    paint_width: int | None = None
    learning_rate: float | None = None
    print_epochs: int = 50
    curve: str | None = None
    frames: str | None = None
    animation: str | None = None
    frame_epochs: int = 10
    matte: str = "white"
    iterations: tyro.conf.Suppress[int] = 1

    def run(self) -> int:
        """Learns, paints, and returns the exit code."""
        self.check()
        optimizer = self.make_optimizer()
        # The published curve is that of a picture resized with this filter; with a cubic one it lies higher.
        if (self.width, self.height, self.long_side) == (None, None, None):
            self.width = WIDTH
        picture = self.read_sized(self.picture, self.matte, method="linear")
        holes = None if self.holes is None else _read_mask(self.holes, self.picture, picture.shape[:2], self.matte)

        from jaxstyle.cli.session import Session, record_of
        from jaxstyle.pictures.image_files import MAX_PIXELS
        from jaxstyle.pictures.sheets import Cell, contact_sheet
        from jaxstyle.problems.painter import full_cost, make_problem

        if self.paint_width is not None and self.paint_width**2 * picture.shape[0] > MAX_PIXELS * picture.shape[1]:
            raise InputError(
                f"at most {MAX_PIXELS} pixels", f"a painting {self.paint_width} wide", "pass a smaller --paint-width"
            )
        configs = self._configs()
        problems = {name: make_problem(config, picture, holes=holes) for name, config in configs.items()}
        known = int(next(iter(problems.values())).args["known"].size)
        steps = -(-known // self.batch_size)
        self.iterations = steps * self.epochs
        check_between("epochs times batches", self.iterations, 1, MOST_STEPS)
        cells = [Cell(_hide(picture, holes), "what it learns", pixelated=True)]
        records, codes, rows, watches = {}, [], [], []
        with Session(self) as session:
            session.introduce(*picture.shape[:2])
            for name, problem in problems.items():
                label = name if len(problems) > 1 else ""
                watch = _Watch(self, session, problem, steps, name, label)
                outcome = session.minimize(
                    problem,
                    optimizer,
                    iterations=self.iterations,
                    report_every=(steps,),
                    label=label,
                    after_chunk=watch.look,
                )
                if outcome.is_untouched and records:  # the second network has learned nothing yet
                    break
                watches.append(watch)
                rows += watch.rows
                painting = watch.paint(outcome.params)
                cost = float(full_cost(outcome.params, problem.args))
                cells.append(Cell(painting, f"{name}\ncost {cost:.1f}"))
                records[name] = {**record_of(outcome), "cost": cost}
                codes.append(outcome.exit_code)
                if session.is_interrupted:
                    break
            session.write_result(contact_sheet([cells], cell_width=painting.shape[1]) if self.compare else painting)
            for watch in watches:
                watch.finish()
            if self.curve is not None:
                self._write_curve(session, self.curve, rows)
            session.write_summary({"runs": records} if self.compare else records[name])
            if session.is_interrupted and len(records) < len(problems):
                codes.append(session.interrupted_code)
        return max(codes)

    def check(self) -> None:
        """Raises for all that can be known to be wrong before the work starts."""
        from jaxstyle.optimize.optimizers import OPTIMIZERS

        self.check_size()
        for name in ("epochs", "batch_size", "weight_deviation", "fourier_scale", "frame_epochs"):
            check_positive("--" + name.replace("_", "-"), getattr(self, name))
        for width in self.hidden_widths:
            check_positive("each of the --hidden-widths", width)
        check_not_negative("--fourier-features", self.fourier_features)
        check_not_negative("--print-epochs", self.print_epochs)
        if self.paint_width is not None:
            check_between("--paint-width", self.paint_width, 1, MAX_SIDE)
        if self.optimizer in OPTIMIZERS and OPTIMIZERS[self.optimizer].searches_line:
            raise InputError(
                "an optimizer without a line search, as each step sees other pixels",
                self.optimizer,
                "pass --optimizer adam",
            )
        if (self.frames or self.animation) and self.epochs < self.frame_epochs:
            raise InputError(
                f"--frame-epochs of at most the {self.epochs} epochs", self.frame_epochs, "pass a smaller one"
            )
        if self.compare and (self.frames or self.animation):
            raise InputError("--compare or pictures while it learns", "both", "run each network by itself")
        if self.animation is not None:
            from jaxstyle.pictures.animation_files import check_animation

            check_animation(self.animation, overwrite=self.overwrite)
        super().check()

    def default_options(self) -> Mapping[str, Any]:
        """Returns the rate of the exercise."""
        return {"learning_rate": LEARNING_RATE}

    def pictures_to_write(self) -> list[str]:
        """Returns the places of all pictures that the run will write."""
        frames: list[str] = []
        if self.frames is not None:
            last = min(self.epochs, CHECKED_CHECKPOINTS * self.frame_epochs)
            frames = checkpoint_names(self.frames, last, self.frame_epochs)
        return [*super().pictures_to_write(), *frames]

    def texts_to_write(self) -> list[str]:
        """Returns the places of all other files that the run will write."""
        return [*super().texts_to_write(), *(place for place in (self.curve, self.animation) if place is not None)]

    def files_to_read(self) -> list[str]:
        """Returns all that the command reads: files, and samples by name."""
        return [*super().files_to_read(), *([] if self.holes is None else [self.holes])]

    def _configs(self) -> "dict[str, PainterConfig]":
        from jaxstyle.problems.painter import PainterConfig

        def config(features: int) -> PainterConfig:
            return PainterConfig(
                hidden_widths=self.hidden_widths,
                weight_deviation=self.weight_deviation,
                batch_size=self.batch_size,
                fourier_features=features,
                fourier_scale=self.fourier_scale,
            )

        if self.compare:
            return {"classic": config(0), "Fourier features": config(self.fourier_features or FOURIER_FEATURES)}
        return {"Fourier features" if self.fourier_features else "classic": config(self.fourier_features)}

    def _write_curve(self, session: "Session", place: str, rows: list[dict[str, Any]]) -> None:
        names = ("network", "epoch", "cost")
        if place.endswith(".csv"):
            lines = [",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)]
        else:
            lines = [to_json(row) for row in rows]
        session.save_text("the curve", place, "\n".join(lines) + "\n")


class _Watch:
    """Looks at a run at the end of each epoch: the cost over all pixels, and pictures of what it has learned.

    Args:
        flags: The flags of the command.
        session: To speak and to write with.
        problem: That is learned.
        steps: Steps of an epoch.
        name: Name of the network.
        label: Label of the run, where there are two.
    """

    def __init__(self, flags: Paint, session: "Session", problem: Any, steps: int, name: str, label: str):
        self._flags, self._session, self._problem, self._steps = flags, session, problem, steps
        self._name, self._label = name, label
        self.rows: list[dict[str, Any]] = []
        self._frames: list[np.ndarray] = []

    def look(self, progress: "Progress") -> None:
        """Does so if the chunk ends an epoch."""
        from jaxstyle.problems.painter import full_cost

        flags = self._flags
        if progress.step == 0 or progress.step % self._steps:
            return
        epoch = progress.step // self._steps
        cost = float(full_cost(progress.state.params, self._problem.args))
        self.rows.append({"network": self._name, "epoch": epoch, "cost": cost})
        if flags.print_epochs and (epoch in (1, flags.epochs) or epoch % flags.print_epochs == 0):
            before = f"{self._label}: " if self._label else ""
            self._session.say(f"{before}epoch {epoch}/{flags.epochs}  cost {cost:.4g}  {progress.run_seconds:.1f} s")
        if (flags.frames or flags.animation) and epoch % flags.frame_epochs == 0:
            picture = self.paint(progress.state.params)
            if flags.frames:
                self._session.write_extra(checkpoint_name(flags.frames, epoch), picture)
            if flags.animation and np.isfinite(picture).all():  # a run that fails may end with others
                self._frames.append(picture)

    def paint(self, params: Any) -> np.ndarray:
        """Returns what the network paints, in the width asked for."""
        from jaxstyle.pictures.images import size_for_width
        from jaxstyle.problems.painter import paint

        height, width, _ = self._problem.args["colors"].shape
        if self._flags.paint_width is not None:
            height, width = size_for_width(height, width, self._flags.paint_width)
        return np.asarray(paint(params, self._problem.args, height, width))

    def finish(self) -> None:
        """Writes the animation, if one was asked for."""
        from jaxstyle.pictures.animation_files import write_animation

        animation, overwrite = self._flags.animation, self._flags.overwrite
        if animation and not self._frames:
            self._session.report.warn(f"{animation!r} was not written: the run made no frame that can be shown")
        elif animation:
            self._session.save(
                "the animation",
                animation,
                lambda place: write_animation(place, _frames_with_rest(self._frames), overwrite=overwrite),
            )


def _frames_with_rest(frames: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields the frames, the last of them often enough to be looked at before the first comes again."""
    yield from frames
    yield from [frames[-1]] * 15


def _read_mask(place: str, picture: str, size: tuple[int, ...], matte: str) -> np.ndarray:
    """Returns a mask at the size that the picture was resized to; the two files must agree in size."""
    mask = read_scaled(place, None, matte)
    original = read_scaled(picture, None, matte)
    if mask.shape != original.shape and mask.shape[:2] != size:
        wanted, got = (f"{shape[1]}x{shape[0]}" for shape in (original.shape, mask.shape))
        raise InputError(f"a mask of the picture's size, {wanted}", got, "make it as large as the picture")
    if mask.shape[:2] != size:
        from jaxstyle.pictures.images import resize

        mask = np.asarray(resize(mask, *size))
    return mask.mean(axis=-1)


def _hide(picture: np.ndarray, holes: np.ndarray | None) -> np.ndarray:
    return picture if holes is None else np.where(holes[..., None] > 0.5, np.float32(0.5), picture)


#: See `jaxstyle.cli.commands`.
COMMANDS = {"paint": Paint}
