"""Canvas, brushes and light: what every painting is made with.

A painting is composed in *units*: one unit is the shorter side of the picture, `x` runs to the right and `y` down
from the upper left corner. Only the last step, laying strokes on pixels, knows about pixels, so the same painting
at another size is the same composition. All randomness comes from one generator that is passed along.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from jaxstyle.checks import InputError

MIN_SIDE = 16  # below this there is no composition left to see
MIN_WORKING_UNIT = 192  # smaller pictures are painted larger and reduced, as a photograph of them would be
MAX_ASPECT = 4.0  # a longer strip gets larger strokes, or their number would grow without bound
NOISE_CELLS = 64  # the noise lattice repeats after so many cells
TEXELS_PER_PIXEL = 2.0  # brushes are sampled by nearest texel: two per pixel hide the steps
MAX_TEXELS = 1024
UNDERPAINTING_CELLS = 112  # per unit: the ground is only seen through gaps between strokes

Array = np.ndarray
Random = np.random.Generator


@dataclass(frozen=True)
class Frame:
    """The picture's pixels and its measures in units.

    Args:
        height: Rows of pixels.
        width: Columns of pixels.
        unit: Pixels in a unit.
    """

    height: int
    width: int
    unit: float

    @property
    def right(self) -> float:
        """The right edge, in units."""
        return self.width / self.unit

    @property
    def bottom(self) -> float:
        """The bottom edge, in units."""
        return self.height / self.unit

    def grid(self) -> tuple[Array, Array]:
        """Returns `x` and `y` of every pixel's center, in units, as float32 [height, width]."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5) / np.float32(self.unit)
        y = (np.arange(self.height, dtype=np.float32) + 0.5) / np.float32(self.unit)
        return np.broadcast_arrays(x[None, :], y[:, None])  # type: ignore[return-value]

    def scatter(self, rng: Random, per_unit: float, margin: float = 0.04) -> tuple[Array, Array, Array]:
        """Returns random points over the frame and a little beyond: `x`, `y`, and eight spare uniforms each.

        A point takes one row of the generator's output, so frames of nearly the same shape, whose counts
        differ by rounding, still share their first points.
        """
        right, bottom = self.right + 2 * margin, self.bottom + 2 * margin
        rows = rng.random((max(1, round(per_unit * right * bottom)), 10)).astype(np.float32)
        return rows[:, 0] * right - margin, rows[:, 1] * bottom - margin, rows[:, 2:].T


def render(paint: Callable[[Frame, Random], Array], height: int, width: int, seed: int) -> Array:
    """Paints at a working size and returns float32 [height, width, 3] in [0, 1].

    Raises:
        InputError: If a side is shorter than 16 pixels.
    """
    if height < MIN_SIDE or width < MIN_SIDE:
        raise InputError(
            f"a painting of at least {MIN_SIDE}x{MIN_SIDE} pixels", f"{height}x{width}", "ask for a larger one"
        )
    unit = max(min(height, width), max(height, width) / MAX_ASPECT)
    factor = max(1, int(np.ceil(MIN_WORKING_UNIT / unit)))
    frame = Frame(height * factor, width * factor, unit * factor)
    picture = paint(frame, np.random.Generator(np.random.PCG64(seed)))
    picture = np.clip(picture, 0, 1).reshape(height, factor, width, factor, 3).mean(axis=(1, 3))
    return np.ascontiguousarray(picture, dtype=np.float32)


def underpainting(frame: Frame, color: Callable[[Array, Array], Array]) -> Array:
    """Returns the ground for a canvas, `[height, width, 3]`: `color` of `x`, `y`, blurred by a coarse lattice."""
    columns = np.arange(int(frame.right * UNDERPAINTING_CELLS) + 3, dtype=np.float32)
    rows = np.arange(int(frame.bottom * UNDERPAINTING_CELLS) + 3, dtype=np.float32)
    x, y = np.meshgrid(columns / UNDERPAINTING_CELLS, rows / UNDERPAINTING_CELLS)
    coarse = color(x, y)
    at_x, at_y = frame.grid()
    at = np.stack([at_y, at_x]) * np.float32(UNDERPAINTING_CELLS)
    channels = [ndimage.map_coordinates(coarse[..., c], at, order=1, output=np.float32) for c in range(3)]
    return np.stack(channels, axis=-1)


class Noise:
    """Smooth random values in [0, 1] over the plane, by cubic interpolation of a periodic random lattice."""

    def __init__(self, rng: Random):
        lattice = rng.random((NOISE_CELLS, NOISE_CELLS))
        self._coefficients = ndimage.spline_filter(lattice, order=3, mode="grid-wrap").astype(np.float32)

    def __call__(self, x: Array, y: Array, frequency: float, octaves: int = 1) -> Array:
        """Returns the noise at `x`, `y` with `frequency` cells in a unit, each octave twice as fine."""
        total, weight, norm = np.zeros(np.shape(x), np.float32), 1.0, 0.0
        for octave in range(octaves):
            # The odd offset keeps the octaves' lattices from meeting at the origin.
            at = np.stack([y, x]) * frequency * 2**octave + 17.3 * (octave + 1)
            total += weight * ndimage.map_coordinates(
                self._coefficients, at, order=3, mode="grid-wrap", prefilter=False, output=np.float32
            )
            norm, weight = norm + weight, weight / 2
        return total / norm


def rgb(*colors: str) -> Array:
    """Returns colors written as six hexadecimal digits as float32 [len(colors), 3] in [0, 1]."""
    values = [[int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)] for color in colors]
    return np.asarray(values, np.float32)


def ramp(t: Array, stops: Sequence[float], colors: Array) -> Array:
    """Returns the color at `t` along the gradient with `colors` at `stops`, as [*t.shape, 3]."""
    return np.stack([np.interp(t, stops, colors[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Returns 0 below `low`, 1 above `high`, and a smooth cubic between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(first: Array, second: Array, share: Array) -> Array:
    """Returns `first` with a `share` in [0, 1] of `second`; colors have one more axis than the share."""
    return first + (second - first) * np.asarray(share)[..., None]


@dataclass(frozen=True)
class Brush:
    """A brush's mark, `[along, across]`: how much it covers, and how much paint each bristle leaves."""

    cover: Array
    paint: Array


def bristle_brush(rng: Random, *, bristles: int = 14, ragged: float = 0.35, taper: float = 0.25) -> Brush:
    """Makes the mark of a bristle brush, fully loaded at its start and running dry at its end.

    Args:
        rng: Where the bristles come from.
        bristles: How many ridges lie side by side.
        ragged: How much earlier than the longest the other bristles end, as a share of the length.
        taper: Share of the length over which the mark narrows at each end.
    """
    along, across = np.linspace(-1, 1, 256)[:, None], np.linspace(-1, 1, 96)[None, :]
    lattice = np.linspace(-1, 1, bristles)
    load, stop = rng.random(bristles), 1 - ragged * rng.random(bristles) * 2
    ridge = np.interp(across, lattice, load) + 0.0 * along
    drift = ndimage.gaussian_filter(rng.random((256, 96)), (24, 1.2))
    ridge = 0.75 * ridge + 0.25 * (drift - drift.min()) / np.ptp(drift)
    half_width = 1 - np.abs(along) ** (1 / max(taper, 1e-3)) * 0.75
    edge = smoothstep(0, 0.22, half_width * 0.96 - np.abs(across))
    end = smoothstep(0, 0.10, np.interp(across, lattice, stop) - along) * smoothstep(0, 0.08, along + 0.98)
    # A fold of paint piles up at the sides and at the far end of a loaded stroke.
    pile = 0.35 * smoothstep(0.55, 0.85, np.abs(across) / half_width) + 0.3 * smoothstep(0.3, 0.9, along)
    return Brush((edge * end).astype(np.float32), (0.2 + 0.8 * ridge + pile).astype(np.float32))


def dab_brush(rng: Random) -> Brush:
    """Makes the mark of a round brush tip pressed on the canvas: a blob with an uneven rim."""
    along, across = np.linspace(-1, 1, 128)[:, None], np.linspace(-1, 1, 128)[None, :]
    angle, radius = np.arctan2(across, along), np.hypot(along, across)
    phases = rng.random(4) * 2 * np.pi
    rim = 0.84 + sum(0.07 / (k + 1) * np.sin((k + 2) * angle + phases[k]) for k in range(4))
    body = ndimage.gaussian_filter(rng.random((128, 128)), 7)
    body = (body - body.min()) / np.ptp(body)
    dome = 0.55 * np.sqrt(np.clip(1 - (radius / rim) ** 2, 0, 1)) + 0.25 * smoothstep(0.5, 0.85, radius / rim)
    return Brush(smoothstep(0, 0.16, rim - radius).astype(np.float32), (0.2 + dome + 0.5 * body).astype(np.float32))


def knife_brush(rng: Random) -> Brush:
    """Makes the mark of a palette knife: flat, hard-edged, streaked, with a ridge where the blade lifted."""
    along, across = np.linspace(-1, 1, 192)[:, None], np.linspace(-1, 1, 96)[None, :]
    wobble = ndimage.gaussian_filter1d(rng.standard_normal((2, 192)), 9, axis=1)[:, :, None] * 0.35
    edge = smoothstep(0, 0.06, 0.88 - across + wobble[0]) * smoothstep(0, 0.06, across + 0.88 + wobble[1])
    lift = 0.9 - 0.25 * ndimage.gaussian_filter1d(np.abs(rng.standard_normal(96)), 3)[None, :]
    end = smoothstep(0, 0.05, lift - along) * smoothstep(0, 0.05, along + 0.92)
    streak = ndimage.gaussian_filter(rng.random((192, 96)), (30, 1.5))
    streak = (streak - streak.min()) / np.ptp(streak)
    ridge = 0.8 * smoothstep(0.66, 0.84, across) + 0.5 * smoothstep(0.5, 0.8, along)
    return Brush((edge * end).astype(np.float32), (0.15 + 0.7 * streak + ridge).astype(np.float32))


@dataclass
class Strokes:
    """Many strokes of about one size: arcs, laid in the order given.

    Args:
        x: Centers, in units.
        y: Centers, in units.
        angle: Direction at the center, in radians, clockwise on the screen from the right.
        curvature: Change of direction along the stroke, in radians per unit.
        length: In units.
        width: In units.
        color: Paint, `[count, 3]`.
        accent: What a fully loaded bristle adds to the color, `[count, 3]`.
        opacity: In [0, 1].
        relief: Height of the paint, in units of the canvas' thickness.
    """

    x: Array
    y: Array
    angle: Array
    curvature: Array
    length: Array
    width: Array
    color: Array
    accent: Array
    opacity: float = 1.0
    relief: float = 1.0


class Canvas:
    """Wet paint: three channels of color and one of thickness, `[height, width, 4]`."""

    def __init__(self, frame: Frame, ground: Array):
        self.frame = frame
        self.layers = np.zeros((frame.height, frame.width, 4), np.float32)
        self.layers[..., :3] = ground

    @property
    def color(self) -> Array:
        """The paint's color, as a view `[height, width, 3]`."""
        return self.layers[..., :3]

    def lay(self, strokes: Strokes, brushes: Sequence[Brush]) -> None:
        """Lays `strokes` one over the other, taking the brushes in turn."""
        unit = self.frame.unit
        size = (float(strokes.length.max()) * unit, float(strokes.width.max()) * unit)
        marks = [_sized(brush, size) for brush in brushes]
        rows, columns = marks[0][0].shape
        half_length, half_width = strokes.length * unit / 2, strokes.width * unit / 2
        cosine, sine = np.cos(strokes.angle), np.sin(strokes.angle)
        bend = np.clip(strokes.curvature / unit, -1.2 / half_length, 1.2 / half_length) / 2
        sagitta = np.abs(bend) * half_length**2
        reach_x = np.abs(cosine) * half_length + np.abs(sine) * (half_width + sagitta) + 1
        reach_y = np.abs(sine) * half_length + np.abs(cosine) * (half_width + sagitta) + 1
        center_x, center_y = strokes.x * unit - 0.5, strokes.y * unit - 0.5
        low_x = np.clip(np.floor(center_x - reach_x), 0, self.frame.width).astype(int).tolist()
        low_y = np.clip(np.floor(center_y - reach_y), 0, self.frame.height).astype(int).tolist()
        high_x = np.clip(np.ceil(center_x + reach_x) + 1, 0, self.frame.width).astype(int).tolist()
        high_y = np.clip(np.ceil(center_y + reach_y) + 1, 0, self.frame.height).astype(int).tolist()
        paint = np.concatenate([strokes.color, np.zeros_like(strokes.color[:, :1])], axis=1)
        accent = np.concatenate([strokes.accent, np.full_like(strokes.color[:, :1], strokes.relief)], axis=1)
        to_row, to_column = rows / 2 / half_length, columns / 2 / half_width
        axis_x, axis_y = np.arange(self.frame.width, dtype=np.float32), np.arange(self.frame.height, dtype=np.float32)
        for i in range(len(strokes.x)):
            if low_x[i] >= high_x[i] or low_y[i] >= high_y[i]:
                continue
            dx = axis_x[low_x[i] : high_x[i]] - center_x[i]
            dy = (axis_y[low_y[i] : high_y[i]] - center_y[i])[:, None]
            along = dx * cosine[i] + dy * sine[i]
            across = dy * cosine[i] - dx * sine[i]
            across -= bend[i] * along * along
            along *= to_row[i]
            along += rows / 2
            across *= to_column[i]
            across += columns / 2
            # The outermost texels are empty, so whatever lies outside the mark may be clipped onto them.
            texel = np.clip(along, 0, rows - 1, out=along).astype(np.int32)
            texel *= columns
            texel += np.clip(across, 0, columns - 1, out=across).astype(np.int32)
            cover, load = marks[i % len(marks)]
            patch = self.layers[low_y[i] : high_y[i], low_x[i] : high_x[i]]
            stroke = load.take(texel)[..., None] * accent[i]
            stroke += paint[i]
            stroke -= patch
            stroke *= (cover.take(texel) * np.float32(strokes.opacity))[..., None]
            patch += stroke

    def lit(self, *, depth: float = 0.012, gloss: float = 0.10, softness: float = 0.0012) -> Array:
        """Returns the color under a light from the upper left that grazes the paint's relief.

        Args:
            depth: Thickness of the paint, in units.
            gloss: Strength of the highlights.
            softness: Radius over which the relief is smoothed, in units.
        """
        unit = self.frame.unit
        thickness = ndimage.gaussian_filter(self.layers[..., 3], max(0.5, softness * unit))
        slope_y, slope_x = np.gradient(thickness * np.float32(depth * unit))
        facing = np.tanh(0.6 * slope_x + 0.8 * slope_y)
        shade = 1 + 0.42 * np.minimum(facing, 0) + 0.22 * np.maximum(facing, 0)
        shine = gloss * smoothstep(0.25, 0.95, facing)
        return self.color * shade[..., None] + shine[..., None]


def _sized(brush: Brush, size: tuple[float, float]) -> tuple[Array, Array]:
    """Returns the brush's mark resampled to `size` pixels, with an empty border: cover and paint."""
    shape = [int(np.clip(TEXELS_PER_PIXEL * side, 8, MAX_TEXELS)) for side in size]
    sized = []
    for texture in (brush.cover, brush.paint):
        steps = [old / new for old, new in zip(texture.shape, shape, strict=True)]
        smooth = ndimage.gaussian_filter(texture, [max(0.0, 0.5 * step) for step in steps], mode="nearest")
        at = np.meshgrid(
            *[(np.arange(new) + 0.5) * step - 0.5 for new, step in zip(shape, steps, strict=True)], indexing="ij"
        )
        sized.append(ndimage.map_coordinates(smooth, at, order=1, mode="nearest").astype(np.float32))
    cover, paint = sized
    cover[[0, -1]] = 0
    cover[:, [0, -1]] = 0
    return cover, paint
