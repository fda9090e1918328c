"""The work of `jaxstyle paint`."""

from typing import Any

import numpy as np

from jaxstyle.checks import MOST_STEPS, InputError, check_between
from jaxstyle.cli.checkpoints import checkpoint_name
from jaxstyle.cli.commands.paint import Paint
from jaxstyle.cli.inputs import SizeFlags
from jaxstyle.cli.pictures import read_scaled, read_sized
from jaxstyle.cli.records import to_json
from jaxstyle.cli.session import Session, record_of
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.optimize.optimizers import OPTIMIZERS
from jaxstyle.optimize.records import Progress
from jaxstyle.pictures.animation_files import write_animation
from jaxstyle.pictures.image_files import MAX_PIXELS
from jaxstyle.pictures.images import resize, size_for_width
from jaxstyle.pictures.sheets import Cell, contact_sheet
from jaxstyle.problems import painter
from jaxstyle.problems.painter import full_cost, make_problem

#: Width without --width, --height and --long-side: the network learns a small picture in minutes.
WIDTH = 64


def run(flags: Paint) -> int:
    """Trains, paints, and returns the exit code."""
    optimizer = configured_optimizer(flags.optimization, **flags.default_options())
    if OPTIMIZERS[flags.optimization.optimizer].searches_line:
        raise InputError(
            "an optimizer without a line search, because each step uses other pixels",
            flags.optimization.optimizer,
            "pass --optimizer adam",
        )
    # The published curve is that of a picture resized with this filter; with a cubic one it lies higher.
    is_open = (flags.width, flags.height, flags.long_side) == (None, None, None)
    picture = read_sized(flags.picture, SizeFlags(width=WIDTH) if is_open else flags, flags.matte, method="linear")
    holes = None if flags.holes is None else _read_mask(flags.holes, flags.picture, picture.shape[:2], flags.matte)

    if flags.paint_width is not None and flags.paint_width**2 * picture.shape[0] > MAX_PIXELS * picture.shape[1]:
        raise InputError(
            f"at most {MAX_PIXELS} pixels", f"a painting {flags.paint_width} wide", "pass a smaller --paint-width"
        )
    configs = flags.configs()
    problems = {name: make_problem(config, picture, holes=holes) for name, config in configs.items()}
    known = int(next(iter(problems.values())).args["known"].size)
    steps = -(-known // flags.painter.batch_size)
    iterations = steps * flags.epochs
    check_between("epochs times batches", iterations, 1, MOST_STEPS)
    learned = picture if holes is None else np.where(holes[..., None] > 0.5, np.float32(0.5), picture)
    cells = [Cell(learned, "what it learns", pixelated=True)]
    records, codes, rows, monitors = {}, [], [], []
    with Session(flags) as session:
        session.introduce(*picture.shape[:2])
        for name, problem in problems.items():
            label = name if len(problems) > 1 else ""
            monitor = _Monitor(flags, session, problem, steps, name, label)
            outcome = session.minimize(
                problem,
                optimizer,
                iterations=iterations,
                report_every=(steps,),
                label=label,
                after_chunk=monitor.after_chunk,
            )
            if outcome.is_untouched and records:  # the second network has learned nothing yet
                break
            monitors.append(monitor)
            rows += monitor.rows
            painting = monitor.paint(outcome.params)
            cost = float(full_cost(outcome.params, problem.args))
            cells.append(Cell(painting, f"{name}\ncost {cost:.1f}"))
            records[name] = {**record_of(outcome), "cost": cost}
            codes.append(outcome.exit_code)
            if session.is_interrupted:
                break
        session.write_result(contact_sheet([cells], cell_width=painting.shape[1]) if flags.compare else painting)
        for monitor in monitors:
            monitor.finish()
        if flags.curve is not None:
            _write_curve(session, flags.curve, rows)
        session.write_summary({"runs": records} if flags.compare else records[name])
        if session.is_interrupted and len(records) < len(problems):
            codes.append(session.interrupted_code)
    return max(codes)


def _write_curve(session: Session, place: str, rows: list[dict[str, Any]]) -> None:
    names = ("network", "epoch", "cost")
    if place.endswith(".csv"):
        lines = [",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)]
    else:
        lines = [to_json(row) for row in rows]
    session.save_text("the curve", place, "\n".join(lines) + "\n")


class _Monitor:
    """Records a run at the end of each epoch: the cost over all pixels, and pictures painted by the network.

    Args:
        flags: The flags of the command.
        session: The session of the command.
        problem: The problem that is minimized.
        steps: Number of steps of an epoch.
        name: Name of the network.
        label: Label of the run, if there are two.
    """

    def __init__(self, flags: Paint, session: Session, problem: Any, steps: int, name: str, label: str) -> None:
        self._flags, self._session, self._problem, self._steps = flags, session, problem, steps
        self._name, self._label = name, label
        self.rows: list[dict[str, Any]] = []
        self._frames: list[np.ndarray] = []

    def after_chunk(self, progress: Progress) -> None:
        """Records the run if the chunk ends an epoch."""
        flags = self._flags
        if progress.step == 0 or progress.step % self._steps:
            return
        epoch = progress.step // self._steps
        cost = float(full_cost(progress.state.params, self._problem.args))
        self.rows.append({"network": self._name, "epoch": epoch, "cost": cost})
        if flags.print_epochs and (epoch in (1, flags.epochs) or epoch % flags.print_epochs == 0):
            before = f"{self._label}: " if self._label else ""
            self._session.log(f"{before}epoch {epoch}/{flags.epochs}  cost {cost:.4g}  {progress.run_seconds:.1f} s")
        if (flags.frames or flags.animation) and epoch % flags.frame_epochs == 0:
            picture = self.paint(progress.state.params)
            if flags.frames:
                self._session.write_extra(checkpoint_name(flags.frames, epoch), picture)
            if flags.animation and np.isfinite(picture).all():  # a run that fails may end with NaN
                self._frames.append(picture)

    def paint(self, params: Any) -> np.ndarray:
        """Returns the picture that the network paints, at the width of --paint-width."""
        height, width, _ = self._problem.args["colors"].shape
        if self._flags.paint_width is not None:
            height, width = size_for_width(height, width, self._flags.paint_width)
        return np.asarray(painter.paint(params, self._problem.args, height, width))

    def finish(self) -> None:
        """Writes the file of --animation."""
        animation, overwrite = self._flags.animation, self._flags.overwrite
        if animation and not self._frames:
            self._session.report.warn(f"{animation!r} was not written: the run made no frame that can be shown")
        elif animation:
            frames = self._frames + [self._frames[-1]] * 15  # the last one stays visible before the first comes again
            write = lambda place: write_animation(place, frames, overwrite=overwrite)
            self._session.save("the animation", animation, write)


def _read_mask(place: str, picture: str, size: tuple[int, ...], matte: str) -> np.ndarray:
    """Returns a mask at the size to which the picture was resized; the two files must have the same size."""
    mask = read_scaled(place, None, matte)
    original = read_scaled(picture, None, matte)
    if mask.shape != original.shape and mask.shape[:2] != size:
        wanted, got = (f"{shape[1]}x{shape[0]}" for shape in (original.shape, mask.shape))
        raise InputError(f"a mask of the picture's size, {wanted}", got, "make it as large as the picture")
    if mask.shape[:2] != size:
        mask = np.asarray(resize(mask, *size))
    return mask.mean(axis=-1)
