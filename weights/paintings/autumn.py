"""`autumn`: an avenue after rain, its trees on fire and the lamps lit, laid on with a palette knife."""

import numpy as np

from paintings.brushwork import (
    Array,
    Canvas,
    Frame,
    Noise,
    Random,
    Strokes,
    knife_brush,
    mix,
    ramp,
    render,
    rgb,
    smoothstep,
    underpainting,
)

VANISHING = (0.54, 0.565)  # where the avenue meets the sky, in shares of width and height
HALF_PATH = 0.60  # half the path's width at the lower edge, in shares of the width

NIGHT = rgb("0b0f2e", "152a66", "1f5aa8", "3fa7c9", "f2d16b", "fff3b8")
NIGHT_STOPS = (0.0, 0.25, 0.45, 0.62, 0.84, 1.0)
FIRE = rgb("4a0f1e", "9b1b1b", "d7301f", "f2661b", "fb9a1d", "ffcf33", "fff08a")
COPPER = rgb("1b1a3d", "4a1f5c", "8e2462", "d13b52", "f2703d", "f9b04b", "ffe9a8")
GREEN = rgb("06261f", "0c4a32", "23742f", "6a9a28", "b8bf2c", "f0dd4a", "fff6b0")
CROWN_STOPS = (0.0, 0.17, 0.34, 0.52, 0.70, 0.86, 1.0)
PATH = rgb("101336", "2a2a7a", "2e5fb3", "7d55b0", "d9626c", "f7a64a", "ffe69a")
BARK = rgb("0a0912", "231428", "4f2430", "a5563a")

# Trees from far to near: place of the foot and height of the trunk (shares), and which leaves they have.
TREES = (
    (0.475, 0.590, 0.16, 1),
    (0.600, 0.592, 0.17, 0),
    (0.405, 0.620, 0.26, 0),
    (0.680, 0.628, 0.28, 2),
    (0.290, 0.690, 0.44, 0),
    (0.790, 0.700, 0.46, 1),
    (0.105, 0.800, 0.68, 0),
    (0.965, 0.810, 0.70, 2),
)
# Place (shares) and size (units).
LAMPS = ((0.440, 0.470, 0.016), (0.645, 0.440, 0.022), (0.355, 0.400, 0.030), (0.745, 0.330, 0.042))

# Passes: knife mark's length and width in units, how often they cover the picture, spread of color.
PASSES = ((0.095, 0.048, 2.4, 0.06), (0.056, 0.026, 2.0, 0.09), (0.034, 0.0150, 1.5, 0.13), (0.020, 0.0085, 0.55, 0.18))


def paint_autumn(height: int, width: int, *, seed: int = 0) -> Array:
    """Paints an autumn avenue with a palette knife.

    Args:
        height: Rows of pixels, at least 16.
        width: Columns of pixels, at least 16.
        seed: Seed of the knife marks and the leaves.

    Returns:
        The painting, float32 [height, width, 3] in [0, 1].
    """
    return render(_paint, height, width, seed)


def _paint(frame: Frame, rng: Random) -> Array:
    avenue = _Avenue(frame, rng)
    ground = underpainting(frame, lambda x, y: avenue.color(x, y, np.full(x.shape, 0.4, np.float32))[0])
    canvas = Canvas(frame, 0.8 * ground)
    knives = [knife_brush(rng) for _ in range(8)]
    for k, (length, width, coverage, spread) in enumerate(PASSES):
        x, y, spare = frame.scatter(rng, coverage / (length * width))
        color, angle = avenue.color(x, y, spare[0])
        color = color * (1 + 2.4 * spread * (spare[1] - 0.5))[:, None] + 0.6 * spread * (spare[2:5].T - 0.5)
        accent = (0.06 + 0.24 * color) * np.where(spare[5] < 0.3, -0.8, 1.0)[:, None]
        strokes = Strokes(
            x,
            y,
            angle + 0.5 * (spare[6] - 0.5),
            3.0 * (spare[5] - 0.5),
            length * (0.6 + 0.7 * spare[7]),
            width * (0.7 + 0.6 * spare[1]),
            np.clip(color, 0.02, 1) - 0.45 * accent,
            accent,
        )
        canvas.lay(strokes, knives)
        if k == 2:
            _trunks(canvas, frame, rng, knives)
    _lamps_and_walkers(canvas, frame, knives)
    return canvas.lit(depth=0.009, gloss=0.10)


def _trunks(canvas: Canvas, frame: Frame, rng: Random, knives: list) -> None:
    """Draws trunks and branches edge-on with the knife, from the far trees to the near ones."""
    for u, v, tall, _ in TREES:
        foot_x, foot_y, tall = u * frame.right, v * frame.bottom, tall * frame.bottom
        lean = 0.12 * (0.5 - u)
        count = 16
        rise = np.linspace(0, 1, count)
        x = foot_x + lean * tall * rise + 0.02 * tall * np.sin(7 * rise + 9 * u)
        y = foot_y - tall * rise
        angle = np.full(count, -np.pi / 2) + 0.25 * (rng.random(count) - 0.5)
        length, width = np.full(count, 0.18 * tall), 0.085 * tall * (1 - 0.6 * rise) + 0.004
        twigs = rng.random((14, 4))
        at = 0.45 + 0.55 * twigs[:, 0]
        side = np.where(twigs[:, 1] < 0.5, -1, 1)
        x = np.concatenate([x, foot_x + lean * tall * at + side * 0.12 * tall * (0.4 + twigs[:, 2])])
        y = np.concatenate([y, foot_y - tall * (at + 0.10)])
        angle = np.concatenate([angle, -np.pi / 2 + side * (0.6 + 0.5 * twigs[:, 3])])
        length = np.concatenate([length, 0.34 * tall * (0.6 + 0.6 * twigs[:, 2])])
        width = np.concatenate([width, np.full(14, 0.015 * tall + 0.002)])
        color = ramp(rng.random(len(x)), (0.0, 0.4, 0.8, 1.0), BARK)
        canvas.lay(Strokes(x, y, angle, np.zeros_like(x), length, width, color, 0.10 + 0.25 * color), knives)


def _lamps_and_walkers(canvas: Canvas, frame: Frame, knives: list) -> None:
    """Sets the last accents, mark by mark: lamp posts and lights, two people and their umbrella."""
    marks = []  # u, v, angle, length, width (units), color
    upright = -np.pi / 2
    for u, v, size in LAMPS:
        foot = v + 4.6 * size * 1.3
        marks += [(u, (v + foot) / 2, upright, (foot - v) * frame.bottom, 0.22 * size, "0c0b18")]
        marks += [(u, v, 0.0, 2.0 * size, 1.9 * size, "ffd95e")]
        marks += [(u, v - 0.1 * size, 0.3, 1.3 * size, 1.2 * size, "fffbe6")]
        marks += [(u, v - 1.0 * size, 0.0, 1.5 * size, 0.30 * size, "171528")]
    # The walkers keep their shape on any picture, so their marks are placed in units around where they stand.
    at_u, at_v = 0.515, 0.705
    walkers = []
    for side, coat in ((-0.024, "1b2350"), (0.024, "5a1030")):
        walkers += [(side, 0.150, upright, 0.13, 0.036, "15153a"), (side, 0.060, upright, 0.060, 0.020, "0d0d1c")]
        walkers += [(side, 0.0, upright, 0.105, 0.038, coat), (side, -0.057, upright, 0.030, 0.022, "c98a5e")]
    walkers += [(-0.003, 0.230, 0.05, 0.14, 0.034, "6d1436"), (0.007, 0.200, -0.04, 0.12, 0.020, "a3243f")]
    walkers += [(0.0, -0.077, 0.0, 0.165, 0.034, "c3132a"), (-0.022, -0.093, -0.28, 0.085, 0.026, "f03a3a")]
    walkers += [(0.024, -0.093, 0.28, 0.085, 0.026, "96081f")]
    marks += [(at_u + dx / frame.right, at_v + dy / frame.bottom, *rest) for dx, dy, *rest in walkers]
    table = np.array([mark[:5] for mark in marks], np.float32).T
    color = rgb(*[mark[5] for mark in marks])
    canvas.lay(
        Strokes(
            table[0] * frame.right,
            table[1] * frame.bottom,
            table[2],
            np.zeros_like(table[0]),
            table[3],
            table[4],
            color * 0.9,
            0.2 * color + 0.02,
        ),
        knives,
    )


class _Avenue:
    """The scene: the color of any place and the direction the knife takes there."""

    def __init__(self, frame: Frame, rng: Random):
        self.frame, self.noise = frame, Noise(rng)

    def color(self, x: Array, y: Array, chance: Array) -> tuple[Array, Array]:
        """Returns the paint and the angle of a mark; `chance` in [0, 1] picks among neighbors of the palette."""
        u, v = x / self.frame.right, y / self.frame.bottom
        color, angle = self._above(u, v, chance)
        below = v > self._verge(u)
        reflected, _ = self._above(u + 0.02 * (self.noise(x, 3 * y, 9.0) - 0.5), 2 * VANISHING[1] - v, chance)
        depth = np.clip((v - VANISHING[1]) / (1 - VANISHING[1]), 1e-3, 1)
        ripple = self.noise(0.6 * x / (0.25 + depth), 3.2 * y, 9.0, 2)
        wet = ramp(0.30 + 1.5 * (ripple - 0.42) + 0.3 * (chance - 0.5), CROWN_STOPS, PATH)
        path = mix(wet, reflected, np.clip(0.48 + 1.2 * (ripple - 0.5), 0, 0.8))
        for at_u, at_v, size in LAMPS:
            streak = np.exp(-(((u - at_u) / (0.55 * size + 0.012)) ** 2)) * smoothstep(1.0, 0.1, np.abs(v - 0.78) / 0.3)
            path = mix(path, rgb("fff0a0")[0], 0.8 * streak * (self.noise(x, 4 * y, 8.0) > 0.42) * (at_v > 0))
        side = np.abs(u - VANISHING[0]) - 0.012 - HALF_PATH * depth**1.15
        leaves = ramp(0.15 + 1.5 * (self.noise(x, 2 * y, 9.0, 2) - 0.3) + 0.5 * (chance - 0.5), CROWN_STOPS, FIRE)
        path = mix(path, leaves, smoothstep(-0.02, 0.03, side + 0.10 * (self.noise(x, y, 12.0) - 0.5)))
        color = np.where(below[..., None], path, color)
        angle = np.where(below, np.where(side > 0, 0.4 * np.sign(VANISHING[0] - u), 0.0), angle)
        return color, angle.astype(np.float32)

    def _verge(self, u: Array) -> Array:
        return VANISHING[1] + 0.02 + 0.16 * np.abs(u - VANISHING[0]) ** 1.3

    def _above(self, u: Array, v: Array, chance: Array) -> tuple[Array, Array]:
        """Returns the color and direction over the path: glowing air, crowns of three kinds, and the lamps."""
        x, y = u * self.frame.right, v * self.frame.bottom
        out_x, out_y = x - VANISHING[0] * self.frame.right, y - VANISHING[1] * self.frame.bottom
        distance = np.hypot(out_x, out_y)
        air = 1.0 - 1.9 * distance + 0.7 * (self.noise(x, y, 6.0, 2) - 0.5) + 0.25 * (chance - 0.5)
        color = ramp(air, NIGHT_STOPS, NIGHT)
        for k, (at_u, at_v, tall, kind) in enumerate(TREES):
            crown_v = at_v - tall * 0.95
            reach = np.hypot((u - at_u) / (0.26 * tall + 0.03), (v - crown_v) / (0.46 * tall))
            ragged = reach + 1.5 * (self.noise(x + k, y, 7.0, 3) - 0.5)
            warm = 0.42 + 1.6 * (self.noise(x, y + k, 8.0, 3) - 0.5) - 0.35 * (distance - 0.35) + 0.35 * (chance - 0.5)
            leaves = ramp(warm, CROWN_STOPS, (FIRE, COPPER, GREEN)[kind])
            color = mix(color, leaves, smoothstep(1.08, 1.0, ragged))
        for at_u, at_v, size in LAMPS:
            away = np.hypot(x - at_u * self.frame.right, y - at_v * self.frame.bottom) / size
            color = mix(color, rgb("ffd257")[0], 0.75 * np.exp(-((away / 2.4) ** 2)))
            color = mix(color, rgb("fffbe0")[0], smoothstep(1.1, 0.8, away))
        return color, np.arctan2(out_y, out_x) + 1.1 * (self.noise(x, y, 5.0) - 0.5) + 0.6
