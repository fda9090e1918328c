"""`garden`: a pond with lilies under blossoming trees, all in dabs of complementary colors."""

import numpy as np

from paintings.brushwork import (
    Array,
    Canvas,
    Frame,
    Noise,
    Random,
    Strokes,
    bristle_brush,
    dab_brush,
    mix,
    ramp,
    render,
    rgb,
    smoothstep,
    underpainting,
)

SHORE = 0.50  # where the water begins, as a share of the height
PADS, BLOOMS = 34, 0.55  # lily pads, and the share of them that flower

LEAVES = rgb("123b35", "1c5a3c", "2f7d3a", "63a63f", "a9cc4e", "e6e389")
LEAF_STOPS = (0.0, 0.22, 0.42, 0.62, 0.82, 1.0)
BLOSSOM = rgb("8e3b72", "d15a95", "ef8fb6", "fabdce", "ffe3e4")
SKY = rgb("5b9fdc", "93c6ea", "d4dfe6", "f9c58a")
WATER = rgb("1b2f63", "26519b", "3f7fc0", "7fb6dc", "cfe3ee")
PAD = rgb("1f6b4f", "3f9a57", "86bf5a", "cfd96a")
LILY = rgb("ffffff", "ffd6e4", "f58fb4", "ffe27a")
BRIDGE = rgb("33407f", "5a78b8", "9fc0cf", "dce8d0")
BANK = rgb("1d4a2b", "3f7f2f", "86a83a", "5b3fa0", "8f6fd6", "d7263d", "ffb703", "f4f1de")

# What is put beside a color to make it shine: picked by a dab now and then.
ACCENTS = rgb("f26b3a", "f7b733", "7a4fbf", "e4417a", "2ec4b6", "fff3c4")
ACCENT_SHARE = 0.13

# Passes: dab width in units, how often they cover the picture, spread of color.
PASSES = ((0.042, 2.2, 0.06), (0.0240, 1.6, 0.10), (0.0145, 1.5, 0.15), (0.0090, 0.55, 0.20))


def paint_garden(height: int, width: int, *, seed: int = 0) -> Array:
    """Paints a pointillist water garden.

    Args:
        height: Rows of pixels, at least 16.
        width: Columns of pixels, at least 16.
        seed: Seed of the dabs, the lilies and the leaves.

    Returns:
        The painting, float32 [height, width, 3] in [0, 1].
    """
    return render(_paint, height, width, seed)


def _paint(frame: Frame, rng: Random) -> Array:
    garden = _Garden(frame, rng)
    ground = underpainting(frame, lambda x, y: garden.color(x, y, np.full(x.shape, 0.4, np.float32)))
    canvas = Canvas(frame, 0.9 * ground)
    blobs = [dab_brush(rng) for _ in range(6)]
    bristles = [bristle_brush(rng, bristles=7, ragged=0.2, taper=0.4) for _ in range(3)]
    for k, (size, coverage, spread) in enumerate(PASSES):
        x, y, spare = frame.scatter(rng, coverage / (1.2 * size * size))
        color = garden.color(x, y, spare[0])
        color = color * (1 + 2.2 * spread * (spare[1] - 0.5))[:, None] + spread * (spare[2:5].T - 0.5)
        if k > 0:
            accent = ACCENTS[(spare[5] / ACCENT_SHARE * len(ACCENTS)).astype(int) % len(ACCENTS)]
            color = mix(color, accent, 0.62 * (spare[5] < ACCENT_SHARE))
        stretch, angle = garden.dab(x, y, spare[6])
        width = size * (0.75 + 0.5 * spare[7])
        load = 0.10 + 0.14 * color
        strokes = Strokes(
            x,
            y,
            angle,
            np.zeros_like(x),
            width * stretch,
            width / np.sqrt(stretch) * 1.1,
            np.clip(color, 0, 1) - 0.55 * load,
            load,
            opacity=0.95,
        )
        canvas.lay(strokes, bristles if k == 0 else blobs)
    return canvas.lit(depth=0.006, gloss=0.07)


class _Garden:
    """The scene: the color of any place, and the shape of a dab there."""

    def __init__(self, frame: Frame, rng: Random):
        self.frame, self.noise = frame, Noise(rng)
        rows = rng.random((PADS, 5))
        depth = np.sort(rows[:, 0] ** 0.8)
        self.pad_v = SHORE + 0.06 + 0.40 * depth
        self.pad_u = (np.arange(PADS) * 0.618 + 0.25 * rows[:, 1]) % 1.0 * 1.06 - 0.03
        self.pad_size = (0.020 + 0.062 * depth) * (0.7 + 0.6 * rows[:, 2])
        self.blooms = rows[:, 3] < BLOOMS
        self.pad_tone = rows[:, 4]

    def _bank(self, u: Array, v: Array) -> Array:
        """Returns how far `v` lies within the flowering bank in the lower corners, in shares of the height."""
        edge = 0.985 - 0.24 * np.exp(-((u / 0.26) ** 2)) - 0.22 * np.exp(-(((u - 1) / 0.20) ** 2))
        return v - edge - 0.02 * np.sin(31 * u)

    def _trees(self, u: Array, v: Array, chance: Array) -> Array:
        """Returns the color above the water: leaves in clumps of light and shade, blossom, and a gap of sky."""
        x, y = u * self.frame.right, v * self.frame.bottom
        clump = self.noise(x, y, 5.5, octaves=3)
        light = 0.30 + 1.7 * (clump - 0.47) + 0.25 * (0.35 - v) + 0.28 * (chance - 0.5)
        color = ramp(light, LEAF_STOPS, LEAVES)
        gap = np.hypot((u - 0.55) / 0.19, (v - 0.02) / 0.26) + 0.8 * (self.noise(x, y, 8.0, 2) - 0.5)
        sky = ramp(v / 0.30 + 0.4 * (chance - 0.5), (0.0, 0.35, 0.75, 1.0), SKY)
        color = mix(color, sky, smoothstep(1.05, 0.85, gap))
        for at_u, at_v, wide, tall in ((0.16, 0.15, 0.19, 0.20), (0.90, 0.11, 0.17, 0.21), (0.37, 0.27, 0.075, 0.08)):
            crown = np.hypot((u - at_u) / wide, (v - at_v) / tall) + 1.0 * (self.noise(x + at_u, y, 7.0, 2) - 0.5)
            petal = 0.38 + 1.7 * (self.noise(x, y + at_u, 9.0, 2) - 0.5) + 0.5 * (at_v - v) + 0.35 * (chance - 0.5)
            color = mix(color, ramp(petal, (0.0, 0.25, 0.5, 0.75, 1.0), BLOSSOM), smoothstep(1.0, 0.85, crown))
        for at_u, lean in ((0.135, 0.10), (0.885, -0.09)):
            half = 0.012 + 0.02 * np.clip(v - 0.38, 0, 1)
            trunk = np.abs(u - at_u - lean * (SHORE - v) - 0.008 * np.sin(25 * v)) - half
            bark = mix(rgb("38213f")[0], rgb("a8663f")[0], chance)
            color = mix(color, bark, (trunk < 0) & (v > 0.26))
        arch = 0.345 + 0.62 * (u - 0.56) ** 2
        deck = np.abs(v - arch) < 0.019
        posts = (np.abs((u * 26) % 1 - 0.5) < 0.11) & (v < arch) & (v > arch - 0.085)
        rail = (np.abs(v - arch + 0.085) < 0.009) | posts
        tone = np.clip(0.55 + 0.6 * (chance - 0.5) - 3.0 * (v - arch), 0, 1)
        planks = ramp(tone, (0.0, 0.4, 0.75, 1.0), BRIDGE)
        return mix(color, planks, (deck | rail) & (np.abs(u - 0.56) < 0.37))

    def color(self, x: Array, y: Array, chance: Array) -> Array:
        """Returns the paint of a dab; `chance` in [0, 1] picks among neighbors of the palette."""
        u, v = x / self.frame.right, y / self.frame.bottom
        ripple = self.noise(0.5 * x, 3.0 * y, 11.0, 2) - 0.5
        mirror = np.where(v > SHORE, 2 * SHORE - v, v)
        color = self._trees(u + np.where(v > SHORE, 0.03 * ripple, 0), mirror, chance)
        wet = ramp(0.42 + 1.5 * ripple + 0.3 * (chance - 0.5), (0.0, 0.25, 0.5, 0.75, 1.0), WATER)
        share = 0.42 + 1.5 * np.abs(ripple) + 0.15 * smoothstep(0.6, 1.0, v)
        color = np.where((v > SHORE)[..., None], mix(0.9 * color, wet, np.clip(share, 0, 0.92)), color)
        reeds = np.abs(v - SHORE) - 0.012 - 0.02 * self.noise(x, y, 14.0)
        color = mix(color, ramp(chance, (0.0, 0.5, 1.0), rgb("17402f", "3d7a35", "c2c94a")), reeds < 0)
        color = self._lilies(u, v, color, chance)
        bank = self._bank(u, v)
        clump = self.noise(x + 7, y, 10.0, 2)
        flower = np.clip((0.45 * clump + 0.75 * chance - 0.30) * len(BANK), 0, len(BANK) - 1).astype(int)
        return mix(color, BANK[flower], bank > 0)

    def _lilies(self, u: Array, v: Array, color: Array, chance: Array) -> Array:
        """Returns `color` with the pads and their flowers on it, the far ones first."""
        scale = self.frame.right / self.frame.bottom
        for k in range(PADS):
            du, dv = (u - self.pad_u[k]) * scale, v - self.pad_v[k]
            near = (np.abs(du) < 1.7 * self.pad_size[k]) & (np.abs(dv) < 0.9 * self.pad_size[k])
            if near.any():
                color[near] = self._lily(k, du[near], dv[near], color[near], chance[near])
        return color

    def _lily(self, k: int, du: Array, dv: Array, color: Array, chance: Array) -> Array:
        """Returns `color` with pad `k`, its shadow and its flower on it; `du`, `dv` lead there from its center."""
        size = self.pad_size[k]
        reach = np.hypot(du / (1.5 * size), dv / (0.55 * size))
        tone = np.clip(self.pad_tone[k] * 0.5 + 0.5 * chance - 0.25 * du / size, 0, 1)
        shadow = np.hypot(du / (1.6 * size), (dv - 0.2 * size) / (0.6 * size)) < 1
        color = mix(color, 0.45 * WATER[0] + 0.1, shadow)
        color = mix(color, ramp(tone, (0.0, 0.35, 0.7, 1.0), PAD), reach < 1)
        color = mix(color, rgb("e9eda0")[0], (reach > 0.82) & (reach < 1) & (dv < 0))
        if self.blooms[k]:
            petals = np.hypot(du / (0.62 * size), (dv + 0.30 * size) / (0.46 * size))
            pick = np.clip(3 - 3.2 * petals + 1.6 * (chance - 0.5), 0, 3).astype(int)
            color = mix(color, LILY[np.where(petals < 0.35, 3, (2 - pick) % 3)], petals < 1)
        return color

    def dab(self, x: Array, y: Array, chance: Array) -> tuple[Array, Array]:
        """Returns a dab's length by its width, and its angle: round leaves, level water, upright grass."""
        u, v = x / self.frame.right, y / self.frame.bottom
        water, bank = (v > SHORE) & (self._bank(u, v) < 0), self._bank(u, v) > 0
        stretch = np.where(water, 1.9, np.where(bank, 1.6, 1.25))
        angle = np.where(water, 0.25 * (chance - 0.5), np.where(bank, 1.57 + 0.9 * (chance - 0.5), 6.28 * chance))
        return stretch.astype(np.float32), angle.astype(np.float32)
