"""`swirl`: a night sky in thick paint, whirling around moons and stars, over hills and a dark cypress."""

import numpy as np

from paintings.brushwork import (
    Array,
    Brush,
    Canvas,
    Frame,
    Noise,
    Random,
    Strokes,
    bristle_brush,
    mix,
    ramp,
    render,
    rgb,
    smoothstep,
    underpainting,
)

# Place (shares of width and height) and radius (units): the first is the moon.
LIGHTS = np.array(
    [
        (0.865, 0.170, 0.080),
        (0.300, 0.120, 0.062),
        (0.565, 0.095, 0.054),
        (0.420, 0.285, 0.040),
        (0.690, 0.255, 0.046),
        (0.075, 0.300, 0.050),
        (0.930, 0.470, 0.050),
        (0.320, 0.590, 0.044),
        (0.075, 0.060, 0.034),
        (0.720, 0.580, 0.036),
    ]
)
# The great whirls: place, radius, and sense of rotation.
WHIRLS = np.array([(0.500, 0.445, 0.200, 1.0), (0.690, 0.430, 0.125, -1.0), (0.215, 0.400, 0.120, 1.0)])

NIGHT = rgb("0b1440", "13256b", "1d3f94", "2f63b5", "5b93cf", "a9cfe2", "e9efd2")
NIGHT_STOPS = (0.0, 0.22, 0.42, 0.58, 0.72, 0.87, 1.0)
LIGHT = rgb("fff3b0", "ffd94a", "f7a824", "e9c84e", "b9d6a2", "6fa6cf")
LIGHT_STOPS = (0.0, 0.3, 0.5, 0.75, 1.15, 1.9)
HILL = rgb("0c1b3d", "15395c", "1f5a72", "2f7f7a", "79a86a", "d8c65a")
CYPRESS = rgb("0a0f14", "13241d", "24402a", "3f5a2c", "7a5a26")
VILLAGE_HOUSES = 22
STOPS = (0.0, 0.25, 0.45, 0.65, 0.85, 1.0)

# Passes from broad to fine: stroke width and length in units, how often they cover the picture, spread of color.
PASSES = ((0.034, 0.150, 3.2, 0.05), (0.019, 0.105, 2.8, 0.07), (0.0105, 0.066, 1.7, 0.10))


def paint_swirl(height: int, width: int, *, seed: int = 0) -> Array:
    """Paints a starry night in impasto.

    Args:
        height: Rows of pixels, at least 16.
        width: Columns of pixels, at least 16.
        seed: Seed of the brushwork.

    Returns:
        The painting, float32 [height, width, 3] in [0, 1].
    """
    return render(_paint, height, width, seed)


def _paint(frame: Frame, rng: Random) -> Array:
    night = _Night(frame, rng)
    ground = underpainting(frame, lambda x, y: night.color(x, y, np.full(x.shape, 0.4, np.float32), steps=2))
    canvas = Canvas(frame, ground)
    brushes = [bristle_brush(rng, bristles=11) for _ in range(6)]
    for width, length, coverage, spread in PASSES:
        x, y, spare = frame.scatter(rng, coverage / (width * length))
        angle, curvature = night.direction(x, y)
        color = night.color(x, y, spare[0])
        color *= 1 + spread * (2 * spare[1:4].T - 1)
        # Strokes shorten where the flow turns sharply, so that they follow it.
        stroke_length = length * (0.7 + 0.6 * spare[4]) / (1 + np.minimum(0.30 * np.abs(curvature) * length, 1))
        accent = (0.10 + 0.22 * color) * (2 * (spare[5] > 0.25) - 1)[:, None]
        strokes = Strokes(
            x,
            y,
            angle + 0.12 * (2 * spare[6] - 1),
            curvature,
            stroke_length,
            width * (0.75 + 0.5 * spare[7]),
            color - 0.5 * accent,
            accent,
        )
        canvas.lay(strokes, brushes)
    _village(canvas, night, rng, [bristle_brush(rng, ragged=0.08, taper=0.06) for _ in range(4)])
    return canvas.lit()


def _village(canvas: Canvas, night: "_Night", rng: Random, brushes: list[Brush]) -> None:
    """Builds houses in the dip between the ridges: a wall, a roof and a lit window, three strokes each."""
    right, bottom = night.frame.right, night.frame.bottom
    rows = rng.random((VILLAGE_HOUSES, 6)).astype(np.float32)
    x = (0.43 + 0.50 * (np.arange(VILLAGE_HOUSES) + 0.7 * rows[:, 0]) / VILLAGE_HOUSES) * right
    far_gap, near_gap = night.hills(x, np.zeros_like(x))
    y = (-0.45 * far_gap - 0.55 * near_gap + 0.030 * (rows[:, 1] - 0.5)) * bottom
    size = 0.038 * (0.7 + 0.7 * rows[:, 2]) * night.shrink
    order = np.argsort(y)
    x, y, size, rows = x[order], y[order], size[order], rows[order]
    wall = mix(rgb("274a86")[0], rgb("b9c8c4")[0], rows[:, 3])
    roof = mix(rgb("12204e")[0], rgb("9a4a2c")[0], (rows[:, 4] > 0.55) * 0.8)
    window = np.broadcast_to(rgb("ffc93c"), wall.shape)
    church = np.arange(VILLAGE_HOUSES) == np.argmin(np.abs(x - 0.62 * right))
    lit, always = rows[:, 5] < 0.75, np.full(VILLAGE_HOUSES, True)
    aside = 0.25 * (2 * rows[:, 0] - 1)
    up = -np.pi / 2
    # Per stroke: which houses have it; offset, angle, bend, length and width in sizes of the house; color.
    parts = (
        (church, 0.6, -0.7, up, 0.0, 2.2, 0.70, wall),
        (church, 0.6, -2.1, up, 0.0, 1.9, 0.42, roof),
        (always, 0.0, 0.0, 0.0, 0.0, 1.5, 1.00, wall),
        (always, 0.0, -0.62, 0.0, 0.9, 1.9, 0.55, roof),
        (lit, aside, 0.05, up, 0.0, 0.55, 0.42, window),
    )
    tilt = 0.16 * (rows[:, 1] - 0.5)
    there = np.stack([part[0] for part in parts], axis=1).ravel()  # house by house, so that near ones hide far ones

    def column(values: list[Array]) -> Array:
        stacked = np.stack(values, axis=1)
        return stacked.reshape(-1, *stacked.shape[2:])[there]

    color = column([part[7] for part in parts])
    strokes = Strokes(
        x=column([x + part[1] * size for part in parts]),
        y=column([y + part[2] * size for part in parts]),
        angle=column([part[3] + tilt for part in parts]),
        curvature=column([part[4] / size for part in parts]),
        length=column([part[5] * size for part in parts]),
        width=column([part[6] * size for part in parts]),
        color=color,
        accent=0.25 * color + 0.03,
    )
    canvas.lay(strokes, brushes)


class _Night:
    """The scene: which way a stroke runs and which color it takes, at any place."""

    def __init__(self, frame: Frame, rng: Random):
        self.noise = Noise(rng)
        self.frame = frame
        scale = np.array([frame.right, frame.bottom])
        # On a narrow picture the lights keep apart by shrinking.
        self.shrink = min(1.0, frame.right / 1.3, frame.bottom / 0.9)
        self.lights = np.concatenate([LIGHTS[:, :2] * scale, LIGHTS[:, 2:] * self.shrink], axis=1)
        self.whirls = np.concatenate([WHIRLS[:, :2] * scale, WHIRLS[:, 2:3] * self.shrink, WHIRLS[:, 3:]], axis=1)

    def hills(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Returns how far `y` lies below the far and the near ridge, in shares of the height."""
        u, v = x / self.frame.right, y / self.frame.bottom
        far = 0.735 - 0.065 * np.sin(5.2 * u + 0.4) + 0.030 * np.sin(13 * u)
        near = 0.860 + 0.050 * np.sin(6.5 * u + 2.6) + 0.016 * np.sin(19 * u + 1)
        return v - far, v - near

    def _cypress(self, x: Array, y: Array) -> Array:
        """Returns 1 within the cypress, 0 outside, and between at its flickering rim."""
        u, v = x / self.frame.right, y / self.frame.bottom
        inside = np.zeros(np.shape(x), np.float32)
        for center, top, spread in ((0.165, 0.17, 0.052), (0.108, 0.46, 0.040)):
            rise = np.clip((v - top) / (1 - top), 0, 1)
            sway = 0.012 * np.sin(18 * v + 40 * center)
            flicker = 1 + 0.35 * np.sin(46 * v + 9 * np.sign(u - center))
            half = spread * np.sqrt(rise) * (1.15 - 0.35 * rise) * flicker
            inside = np.maximum(inside, smoothstep(-0.006, 0.004, half - np.abs(u - center - sway)) * (v > top))
        return inside

    def _flow(self, x: Array, y: Array) -> tuple[Array, Array]:
        u, v = x / self.frame.right, y / self.frame.bottom
        flow_x = np.full(np.shape(x), 1.0) + 0.25 * np.sin(7 * v)
        flow_y = 0.55 * np.sin(6.3 * u + 3.0 * v) + 0.5 * (self.noise(x, y, 3.0) - 0.5)
        for at_x, at_y, radius, sense in self.whirls:
            dx, dy = x - at_x, y - at_y
            pull = 4.5 * sense * np.exp(-((np.hypot(dx, dy) / (1.15 * radius)) ** 2))
            flow_x, flow_y = flow_x - pull * dy / radius, flow_y + pull * dx / radius
        for at_x, at_y, radius in self.lights:
            dx, dy = x - at_x, y - at_y
            pull = 7 * np.exp(-((np.hypot(dx, dy) / (1.7 * radius)) ** 4))
            flow_x, flow_y = flow_x - pull * dy / radius, flow_y + pull * dx / radius
        far, near = self.hills(x, y)
        u_slope = np.where(near > 0, np.cos(6.5 * u + 2.6) * 0.6, -np.cos(5.2 * u + 0.4) * 0.5)
        ground = smoothstep(-0.01, 0.02, np.maximum(far, near))
        flow_x = flow_x * (1 - ground) + ground
        flow_y = flow_y * (1 - ground) + ground * (u_slope + 0.7 * (self.noise(x, y, 7.0) - 0.5))
        tree = self._cypress(x, y)
        flow_x = flow_x * (1 - tree) + tree * 0.55 * np.sin(30 * v + 12 * u)
        return flow_x, flow_y * (1 - tree) - tree

    def direction(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Returns the flow's angle, and its change per unit along the flow."""
        step = 0.012
        flow_x, flow_y = self._flow(x, y)
        angle = np.arctan2(flow_y, flow_x)
        ahead_x, ahead_y = self._flow(x + step * np.cos(angle), y + step * np.sin(angle))
        behind_x, behind_y = self._flow(x - step * np.cos(angle), y - step * np.sin(angle))
        turn = np.arctan2(behind_x * ahead_y - behind_y * ahead_x, behind_x * ahead_x + behind_y * ahead_y)
        return angle, turn / (2 * step)

    def _streak(self, x: Array, y: Array, frequency: float, steps: int) -> Array:
        """Returns noise averaged along the flow, stretched to [0, 1]: bands that follow the strokes."""
        total, step = np.zeros(np.shape(x), np.float32), 0.022
        for sense in (-1, 1):
            at_x, at_y = x, y
            for _ in range(steps):
                flow_x, flow_y = self._flow(at_x, at_y)
                norm = sense * step / (np.hypot(flow_x, flow_y) + 1e-6)
                at_x, at_y = at_x + flow_x * norm, at_y + flow_y * norm
                total += self.noise(at_x, at_y, frequency)
        return np.clip((total / (2 * steps) - 0.5) * 2.2 + 0.5, 0, 1)

    def color(self, x: Array, y: Array, chance: Array, steps: int = 6) -> Array:
        """Returns the paint a stroke takes; `chance` in [0, 1] picks among neighbors of the palette."""
        v = y / self.frame.bottom
        streak = self._streak(x, y, 12.0, steps)
        tone = 0.14 + 0.40 * smoothstep(0.0, 0.72, v) + 0.50 * (streak - 0.48)
        for at_x, at_y, radius, sense in self.whirls:
            dx, dy = x - at_x, y - at_y
            distance = np.hypot(dx, dy) / radius
            arms = np.sin(2 * np.arctan2(dy, dx) - sense * 4.4 * np.log(distance + 0.10))
            inner = np.exp(-((distance / 1.1) ** 4))
            tone = tone * (1 - 0.6 * inner) + (0.36 + 0.36 * arms) * inner
        tone = np.minimum(tone, 0.90) + 0.24 * (chance - 0.5)
        color = ramp(tone, NIGHT_STOPS, NIGHT)
        for k, (at_x, at_y, radius) in enumerate(self.lights):
            distance = np.hypot(x - at_x, y - at_y) / radius
            if k == 0:  # a crescent: a second disc bites into the moon
                bite = np.hypot(x - at_x - 0.30 * radius, y - at_y + 0.12 * radius) / radius
                disc = np.where(bite < 0.52, 0.05, 0.52)
                distance = np.where(distance < 0.80, disc, 0.22 + 0.8 * (distance - 0.80))
            jitter = distance + 0.22 * (chance - 0.5)
            halo = smoothstep(2.3, 0.9, jitter) * np.where(jitter < 1.0, 1.0, 0.62 + 0.38 * np.sin(9 * jitter))
            color = mix(color, ramp(jitter, LIGHT_STOPS, LIGHT), np.clip(halo, 0, 1))
        far, near = self.hills(x, y)
        grass = 0.16 + 0.8 * (streak - 0.35) + 0.18 * (chance - 0.5)
        color = mix(color, ramp(grass + 0.20 * smoothstep(0.10, 0.0, far), STOPS, HILL), far > 0)
        color = mix(color, ramp(grass - 0.02 + 0.30 * smoothstep(0.08, 0.0, near), STOPS, HILL), near > 0)
        bark = np.clip(0.15 + 1.1 * (streak - 0.35) + 0.30 * (chance - 0.5), 0, 1)
        return mix(color, ramp(bark, (0, 0.3, 0.55, 0.8, 1.0), CYPRESS), self._cypress(x, y) > 0.5)
