"""`waves`: a woodblock print of a great wave with claws of foam, a red sun and a far mountain, on grained paper."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.interpolate import make_interp_spline
from scipy.spatial import KDTree

from paintings.brushwork import Array, Frame, Noise, Random, mix, ramp, render, rgb, smoothstep

# One breaking wave, one high, its crest falling to the right; `y` is up, and the still water lies at 0.
BACK = np.array(
    [
        (-2.9, -0.75),
        (-2.2, -0.05),
        (-1.6, 0.34),
        (-1.05, 0.66),
        (-0.55, 0.90),
        (-0.10, 1.02),
        (0.28, 1.00),
        (0.56, 0.86),
        (0.72, 0.62),
    ]
)
FACE = np.array(
    [
        (1.9, -0.75),
        (1.1, -0.16),
        (0.62, -0.02),
        (0.30, 0.06),
        (0.12, 0.20),
        (0.06, 0.38),
        (0.12, 0.55),
        (0.26, 0.68),
        (0.44, 0.74),
        (0.60, 0.72),
        (0.72, 0.62),
    ]
)
CURVE_SAMPLES = 1500

SKY = rgb("d98b5f", "eeb984", "f3d5a6", "f2e0bd", "ecd3b4", "d9b7a6")
SKY_STOPS = (0.0, 0.14, 0.32, 0.50, 0.62, 0.72)
INK = rgb("0d2148")[0]
DEEP = rgb("132c5c", "1c4380", "2c639f", "5b94ba")
PALE = rgb("7fb3c6", "a9cdcb", "d4e2cf", "eee9d2")
FOAM = rgb("f8f1de")[0]
FOAM_SHADE = rgb("b9d3d6")[0]
SUN = rgb("d6402b")[0]
LINE = 0.0036  # half the width of the key block's line, in units


@dataclass(frozen=True)
class _Wave:
    """Where a wave breaks: place of its foot (shares of width and height), its height in units, its side."""

    x: float
    y: float
    height: float
    facing: int = 1
    claws: int = 16


# From the farthest to the nearest.
WAVES = (
    _Wave(0.60, 0.700, 0.055, 1, 7),
    _Wave(0.80, 0.705, 0.060, 1, 7),
    _Wave(1.00, 0.700, 0.055, 1, 7),
    _Wave(0.70, 0.755, 0.085, 1, 9),
    _Wave(0.93, 0.750, 0.100, 1, 9),
    _Wave(0.86, 0.865, 0.230, -1, 15),
    _Wave(0.315, 0.840, 0.640, 1, 40),
    _Wave(0.640, 0.955, 0.150, 1, 12),
    _Wave(0.960, 0.985, 0.190, 1, 13),
    _Wave(0.100, 1.010, 0.230, 1, 15),
    _Wave(0.420, 1.030, 0.210, 1, 14),
    _Wave(0.740, 1.060, 0.180, 1, 13),
)


def paint_waves(height: int, width: int, *, seed: int = 0) -> Array:
    """Paints a woodblock print of the sea.

    Args:
        height: Rows of pixels, at least 16.
        width: Columns of pixels, at least 16.
        seed: Seed of the foam, the ink and the paper.

    Returns:
        The painting, float32 [height, width, 3] in [0, 1].
    """
    return render(_paint, height, width, seed)


def _paint(frame: Frame, rng: Random) -> Array:
    noise = Noise(rng)
    print_ = _sky(frame, noise)
    for wave in WAVES:
        _pull_wave(print_, frame, noise, wave)
        _foam(print_, frame, rng, wave)
    return _paper(frame, noise, print_)


def _reach(frame: Frame) -> float:
    """Returns the height of the scene in units, above the lower edge; a taller picture has more sky."""
    return min(frame.bottom, 1.05 * frame.right)


def _size(frame: Frame, wave: _Wave) -> float:
    """Returns the wave's height in units; on a narrow picture the waves shrink to keep their places."""
    return wave.height * min(1.0, frame.right / 1.15)


def _sky(frame: Frame, noise: Noise) -> Array:
    """Returns the ground of the print: graded sky, sun, mist, mountain, and the flat far sea."""
    x, y = frame.grid()
    u, v = x / frame.right, 1 - (frame.bottom - y) / _reach(frame)
    soft = 1.0 / frame.unit
    color = ramp(v + 0.05 * (noise(0.4 * x, 2.5 * y, 4.0, 3) - 0.5), SKY_STOPS, SKY)
    distance = np.hypot(x - 0.755 * frame.right, y - frame.bottom + 0.715 * _reach(frame)) - 0.135
    color = mix(color, SUN, smoothstep(soft, -soft, distance) * (0.80 + 0.20 * v / 0.4))
    for level, thickness, shift in ((0.20, 0.020, 0.0), (0.345, 0.026, 2.0), (0.43, 0.015, 4.1), (0.09, 0.014, 5.5)):
        lift = thickness * (0.5 + 1.2 * np.sin(4.0 * u + shift)) + 0.012 * (noise(x + shift, y, 6.0) - 0.5)
        bar = lift - np.abs(v - level - 0.012 * np.sin(9 * u + shift))
        mist = rgb("fbeecf")[0]
        color = mix(color, mist, 0.85 * smoothstep(-soft, soft, bar))
        color = mix(color, rgb("a8674a")[0], 0.55 * smoothstep(1.6 * LINE, 0.4 * LINE, np.abs(bar)))
    side = np.abs(u - 0.70) * frame.right / _reach(frame)
    peak = v - 0.455 - 0.62 * side**0.86 - 0.008 * np.sin(90 * u)
    peak = np.minimum(peak, v - 0.475 + 0.004 * np.sin(70 * u))
    color = mix(color, ramp(v, (0.47, 0.60, 0.70), rgb("2d5688", "5d86a3", "c3c4b4")), smoothstep(-soft, soft, peak))
    snow = v - 0.535 - 0.030 * np.sin(120 * u) * np.sin(47 * u + 1)
    color = mix(color, FOAM, smoothstep(-soft, soft, peak) * smoothstep(soft, -soft, snow))
    color = mix(color, INK, 0.8 * smoothstep(LINE, 0.3 * LINE, np.abs(peak)))
    sea = v - 0.685 - 0.006 * np.sin(24 * u)
    furrow = np.sin(2 * np.pi * (26 * v + 0.6 * np.sin(15 * u + 30 * v) + 1.2 * noise(x, y, 4.0)))
    water = ramp(v, (0.68, 0.8, 1.0), rgb("7fb3c6", "2c639f", "132c5c"))
    water = mix(water, PALE[2], 0.55 * smoothstep(0.2, 0.5, furrow))
    return mix(color, water, smoothstep(-soft, soft, sea))


def _curves(frame: Frame, wave: _Wave) -> tuple[Array, Array]:
    """Returns the wave's back and face as polylines from the water to the tip, in units, `[samples, 2]`."""
    curves = []
    for points in (BACK, FACE):
        steps = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        curve = make_interp_spline(steps / steps[-1], points, k=3)(np.linspace(0, 1, CURVE_SAMPLES))
        size = _size(frame, wave)
        place = np.array([wave.x * frame.right, frame.bottom - (1 - wave.y) * _reach(frame)])
        curves.append(place + curve * size * np.array([wave.facing, -1.0]))
    return curves[0], curves[1]


def _pull_wave(print_: Array, frame: Frame, noise: Noise, wave: _Wave) -> None:
    """Prints one wave's body: graded indigo, pale stripes that run up into the crest, and the key line."""
    back, face = _curves(frame, wave)
    outline = np.concatenate([back, face[::-1]])
    margin = 3 * LINE + 2 / frame.unit
    low = np.clip(np.floor((outline.min(axis=0) - margin) * frame.unit), 0, (frame.width, frame.height)).astype(int)
    high = np.clip(np.ceil((outline.max(axis=0) + margin) * frame.unit), 0, (frame.width, frame.height)).astype(int)
    if (high <= low).any():
        return
    columns, rows = np.arange(low[0], high[0]), np.arange(low[1], high[1])
    x, y = (a.astype(np.float32) for a in np.meshgrid((columns + 0.5) / frame.unit, (rows + 0.5) / frame.unit))
    inside = _inside(outline * frame.unit - 0.5 - low, x.shape)
    points = np.stack([x.ravel(), y.ravel()], 1)
    rim = 2 * int(np.ceil(margin * frame.unit)) + 1
    near = np.asarray(ndimage.maximum_filter(inside, size=rim), bool).ravel()
    to_back, to_face, climb = np.full((3, len(points)), 9.0)
    to_back[near], _ = KDTree(back).query(points[near])
    to_face[near], where = KDTree(face).query(points[near])
    climb[near] = where / CURVE_SAMPLES
    to_back, to_face, climb = (a.reshape(x.shape).astype(np.float32) for a in (to_back, to_face, climb))
    signed = np.minimum(to_back, to_face) * np.where(inside, 1, -1)
    size = _size(frame, wave)
    # Lines on which this share is constant run from the water up into the tip, between back and face.
    share = to_face / (to_face + to_back + 1e-6)
    wander = 0.05 * (noise(x / size, y / size, 2.2) - 0.5)
    count = 4.5 + 6.5 * min(1.0, size / 0.5)
    phase = count * (share + wander)
    stripe = np.cos(2 * np.pi * phase) + 0.9 * (noise(x / size, y / size, 3.0) - 0.5)
    reach = smoothstep(0.95, 0.20, share)
    body = ramp(0.9 * (1 - climb) + 0.35 * share, (0.15, 0.45, 0.75, 1.15), DEEP[::-1])
    light = ramp(climb + 0.25 * (1 - share), (0.1, 0.5, 0.85, 1.15), PALE)
    width = 0.62 - 0.80 * reach
    grade = 1.4 / frame.unit * 2 * np.pi * count / np.maximum(to_face + to_back, 1e-3) + 0.12
    color = mix(body, light, np.clip((stripe - width) / grade + 0.5, 0, 1))
    # Fine cuts of the knife in the pale bands.
    hair = np.cos(2 * np.pi * (5 * phase + 0.6 * noise(x / size, y / size, 4.0)))
    color = mix(color, DEEP[3], 0.55 * smoothstep(0.72, 0.95, hair) * smoothstep(0.2, 0.8, climb))
    deep_line = np.cos(2 * np.pi * phase + 0.9 * np.pi)
    color = mix(color, INK, 0.75 * np.clip((deep_line - 0.90) / (0.4 * grade) + 0.5, 0, 1))
    soft = 0.8 / frame.unit
    patch = print_[low[1] : high[1], low[0] : high[0]]
    sunk = smoothstep(0.0, 0.45 * size, outline[:, 1].max() - y)  # the foot fades into the water
    patch[:] = mix(patch, color, smoothstep(-soft, soft, signed) * sunk)
    line = LINE * (0.7 + 0.9 * noise(x, y, 8.0)) * (0.55 + 0.6 * min(1.0, size / 0.3))
    patch[:] = mix(patch, INK, smoothstep(soft, -soft, np.abs(signed) - line) * 0.92 * sunk)


def _inside(outline: Array, shape: tuple[int, int]) -> Array:
    """Returns which pixels a closed polygon of `x`, `y` in pixels holds: an odd number of edges to their left.

    Its edges are far shorter than its rows are long, so that counting crossings is cheap; scikit-image's
    `polygon2mask` tries every edge for every pixel.
    """
    start, end = outline, np.roll(outline, -1, axis=0)
    first = np.ceil(np.minimum(start[:, 1], end[:, 1])).astype(int)
    count = np.ceil(np.maximum(start[:, 1], end[:, 1])).astype(int) - first
    edge = np.repeat(np.arange(len(outline)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    share = (row - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    column = np.ceil(start[edge, 0] + share * (end[edge, 0] - start[edge, 0])).astype(int)
    crossings = np.zeros(shape, np.int32)
    seen = (row >= 0) & (row < shape[0]) & (column < shape[1])
    np.add.at(crossings, (row[seen], np.maximum(column[seen], 0)), 1)
    return np.cumsum(crossings, axis=1) % 2 == 1


def _foam(print_: Array, frame: Frame, rng: Random, wave: _Wave) -> None:
    """Prints the crest: scallops of foam along it, claws that reach out and down, and spray."""
    back, face = _curves(frame, wave)
    size = _size(frame, wave)
    crest = np.concatenate([back[int(0.52 * CURVE_SAMPLES) :], face[: int(0.80 * CURVE_SAMPLES) : -1]])
    tangent = np.gradient(crest, axis=0)
    tangent /= np.hypot(*tangent.T)[:, None] + 1e-9
    outward = wave.facing * np.stack([tangent[:, 1], -tangent[:, 0]], 1)
    line = LINE * (0.45 + 0.5 * min(1.0, size / 0.4))
    count = wave.claws
    for layer, (inset, scale) in enumerate(((0.150, 0.62), (0.105, 0.80), (0.055, 0.9), (0.0, 1.0))):
        chance = rng.random((count, 6))
        spots = (np.arange(count) + 0.35 * layer + 0.5 * chance[:, 0]) / (count + 0.7)
        for k in range(count):
            at = int(np.clip(spots[k], 0, 0.999) * len(crest))
            grown = scale * (0.45 + 0.75 * np.sin(np.pi * min(1.0, 0.15 + 0.75 * spots[k])))
            radius = size * 0.050 * grown * (0.75 + 0.5 * chance[k, 1])
            start = crest[at] - outward[at] * size * inset * grown
            heading = np.arctan2(outward[at, 1], outward[at, 0])
            fingers = 1 + 2 * (layer == 3) + (layer == 2)
            for finger in range(fingers):
                fan = (finger - (fingers - 1) / 2) * 0.75 + 0.4 * (chance[k, 2 + finger] - 0.5)
                length = size * (0.075 + 0.085 * (layer == 3)) * grown * (0.7 + 0.6 * chance[k, 5 - finger])
                chain = _claw(start, heading + fan + 0.35 * wave.facing, length, radius, wave.facing)
                _print_discs(print_, frame, chain, line)
    drops = rng.random((3 * count, 4))
    at = (drops[:, 0] * 0.95 * len(crest)).astype(int)
    fly = crest[at] + outward[at] * size * (0.10 + 0.26 * drops[:, 1:2] ** 2) + 0.03 * size * (drops[:, 2:3] - 0.5)
    radius = size * (0.004 + 0.008 * drops[:, 3] ** 2)
    for k in range(len(drops)):
        _print_discs(print_, frame, np.array([[fly[k, 0], fly[k, 1], radius[k]]]), 0.35 * line)


def _claw(start: Array, heading: float, length: float, radius: float, facing: int) -> Array:
    """Returns a hook as a chain of shrinking discs: rows of `x`, `y`, radius."""
    share = np.linspace(0, 1, 12)
    angle = heading + facing * (2.5 * share**1.3)
    step = length / (len(share) - 1)
    x = start[0] + np.concatenate([[0], np.cumsum(np.cos(angle[:-1]) * step)])
    y = start[1] + np.concatenate([[0], np.cumsum(np.sin(angle[:-1]) * step)])
    return np.stack([x, y, radius * (1 - 0.85 * share**0.8)], 1)


def _print_discs(print_: Array, frame: Frame, discs: Array, line: float) -> None:
    """Prints the union of `discs` in foam white, shaded below, with a key line around it."""
    unit, reach = frame.unit, discs[:, 2] + line + 2 / frame.unit
    low_x, low_y = (int(max(0, np.floor((discs[:, k] - reach).min() * unit))) for k in (0, 1))
    high_x = int(min(frame.width, np.ceil((discs[:, 0] + reach).max() * unit)))
    high_y = int(min(frame.height, np.ceil((discs[:, 1] + reach).max() * unit)))
    if low_x >= high_x or low_y >= high_y:
        return
    x = (np.arange(low_x, high_x, dtype=np.float32) + 0.5) / unit
    y = ((np.arange(low_y, high_y, dtype=np.float32) + 0.5) / unit)[:, None]
    signed = np.full((high_y - low_y, high_x - low_x), np.inf, np.float32)
    for disc_x, disc_y, radius in discs.astype(np.float32):
        signed = np.minimum(signed, np.hypot(x - disc_x, y - disc_y) - radius)
    soft = 0.8 / unit
    # Flat, as a second block prints it: a pale blue crescent on the side away from the light.
    edge = 1.5 * soft / discs[0, 2]
    lobe = np.hypot(x - discs[0, 0] + 0.30 * discs[0, 2], y - discs[0, 1] + 0.34 * discs[0, 2]) / discs[0, 2]
    shade = smoothstep(1.02 - edge, 1.02 + edge, lobe) * (signed > -0.6 * discs[0, 2])
    color = mix(FOAM, FOAM_SHADE, 0.9 * shade)
    patch = print_[low_y:high_y, low_x:high_x]
    patch[:] = mix(patch, INK, 0.9 * smoothstep(line + soft, line - soft, signed))
    patch[:] = mix(patch, color, smoothstep(soft, -soft, signed))


def _paper(frame: Frame, noise: Noise, print_: Array) -> Array:
    """Returns the print on paper: ink that takes unevenly, the plank's grain, fibers, and worn edges."""
    x, y = frame.grid()
    bend = 0.05 * (noise(0.6 * x, 0.8 * y, 2.0) - 0.5)
    plank = noise(0.45 * x, 9.0 * (y + bend), 9.0, octaves=2) - 0.5
    fiber = noise(2.5 * x + 4 * y, 5.0 * y - 1.5 * x, 26.0, octaves=2) - 0.5
    mottle = noise(x, y, 45.0, octaves=2) - 0.5
    ink = 1 - print_.mean(axis=-1)
    fade = np.clip(0.05 + 0.30 * plank * (0.4 + ink) + 0.16 * fiber + 0.16 * mottle, -0.15, 0.35)
    return mix(print_, rgb("f4e6c8")[0], fade)
