"""`mosaic`: a leaded glass window, the sun setting between hills and a river, every pane of its own glass."""

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from paintings.brushwork import Array, Frame, Noise, Random, mix, render, rgb, smoothstep

SUN = (0.60, 0.36)  # place, in shares of width and height
RING_STEP = 0.071  # width of a ring of panes, in units
PANE = 0.068  # size of a pane away from the sun, in units
LEAD = 0.0050  # half the width of a lead came, in units
JITTER = 0.12  # how far a pane's center strays, in panes

SUN_GLASS = rgb("fff2b0", "ffe066", "ffd23f", "ffb627")
RAY_GLASS = rgb("ff9f1c", "f3722c", "e5383b", "ffbf46", "d00058", "f9844a")
DUSK_GLASS = rgb("b5179e", "c9184a", "7209b7", "e36414", "ff6d8d", "560bad")
SKY_GLASS = rgb("1d4ed8", "3a0ca3", "4361ee", "0b3c91", "4895ef", "5a189a", "48bfe3")
HILL_GLASS = rgb("0b6e4f", "1b9e4b", "6ab04c", "127369", "a7c957", "08605f", "d9c026")
RIVER_GLASS = rgb("00b4d8", "48cae4", "0077b6", "90e0ef", "00a6a6", "ffd166", "caf0f8")
GROUND_GLASS = rgb("7a1f1f", "b23a48", "d1495b", "edae49", "5c1a4b", "f4a259", "8f2d56")


def paint_mosaic(height: int, width: int, *, seed: int = 0) -> Array:
    """Paints a window of stained glass.

    Args:
        height: Rows of pixels, at least 16.
        width: Columns of pixels, at least 16.
        seed: Seed of the panes' places, colors and glass.

    Returns:
        The painting, float32 [height, width, 3] in [0, 1].
    """
    return render(_paint, height, width, seed)


def _paint(frame: Frame, rng: Random) -> Array:
    noise = Noise(rng)
    sites = _sites(frame, rng)
    glass = _glass_colors(frame, sites, rng)
    x, y = frame.grid()
    # Hand-cut panes: bend the plane a little, and the straight borders with it.
    bent_x = x + 0.012 * (noise(x, y, 5.0) - 0.5) + 0.003 * (noise(y, x, 22.0) - 0.5)
    bent_y = y + 0.012 * (noise(x + 3.1, y, 5.0) - 0.5) + 0.003 * (noise(y + 1.7, x, 22.0) - 0.5)
    pane, border, from_center = _panes(bent_x, bent_y, sites)
    turn = rng.random(len(sites)).astype(np.float32)[pane]
    light = _light(frame, noise, x, y, turn, from_center)
    color = glass[pane] * light[..., None]
    # Streaks of a second color, as in glass poured from two ladles.
    second = glass[(pane * 7 + 3) % len(sites)]
    streak = smoothstep(0.52, 0.80, _streaks(noise, x, y, turn)) * 0.42
    color = mix(color, second * light[..., None], streak)
    return _leaded(frame, noise, x, y, color, border)


def _ridge(frame: Frame, x: Array, which: int) -> Array:
    """Returns the height at which the far hills (0), the river (1) or the near bank (2) begin, in units."""
    u = x / frame.right
    ridges = (
        0.600 - 0.085 * np.sin(4.6 * u + 0.3) + 0.030 * np.sin(11 * u),
        0.725 + 0.035 * np.sin(5.0 * u + 2.2),
        0.865 - 0.060 * np.sin(4.0 * u + 1.0),
    )
    return ridges[which] * frame.bottom


def _sites(frame: Frame, rng: Random) -> Array:
    """Returns the panes' centers, `[count, 2]`: rings around the sun above, rows along the hills below."""
    center_x, center_y = SUN[0] * frame.right, SUN[1] * frame.bottom
    sites = [np.array([[center_x, center_y]])]
    reach = np.hypot(max(center_x, frame.right - center_x), frame.bottom) + PANE
    for ring in range(1, int(reach / RING_STEP) + 2):
        radius = RING_STEP * (ring + 0.04 * ring)
        count = 8 if ring == 1 else 16 * max(1, round(2 * np.pi * radius / (1.25 * PANE) / 16))
        count = min(count, 16 if ring < 4 else 32 if ring < 8 else 64)
        angle = (np.arange(count) + 0.5 * (ring % 2)) * 2 * np.pi / count
        stray = JITTER * PANE * rng.standard_normal((count, 2)) * min(1.0, ring / 8)
        sites.append(np.stack([center_x + radius * np.cos(angle), center_y + radius * np.sin(angle)], 1) + stray)
    sky = np.concatenate(sites)
    sky = sky[sky[:, 1] < _ridge(frame, sky[:, 0], 0) - 0.35 * PANE]
    rows = []
    for which, depth in ((0, 2.0), (1, 2.4), (2, 3.5)):
        for row in range(int(depth)):
            count = int(frame.right / (PANE * 1.15)) + 3
            x = (np.arange(count) - 1 + 0.5 * (row % 2) + 0.3 * which) * PANE * 1.15
            top, below = _ridge(frame, x, which), _ridge(frame, x, which + 1) if which < 2 else frame.bottom * 1.04
            y = top + (row + 0.5) * (below - top) / int(depth)
            stray = JITTER * PANE * rng.standard_normal((count, 2)) * (0.9, 0.5)
            rows.append(np.stack([x, y], 1) + stray)
    return np.concatenate([sky, *rows])


def _glass_colors(frame: Frame, sites: Array, rng: Random) -> Array:
    """Returns a color for every pane, `[count, 3]`, by the part of the scene it lies in."""
    x, y = sites.T
    distance = np.hypot(x - SUN[0] * frame.right, y - SUN[1] * frame.bottom)
    chance = rng.random((len(sites), 3)).astype(np.float32)
    zone = distance + 0.05 * (chance[:, 1] - 0.5)
    color = np.empty((len(sites), 3), np.float32)
    ring_limits = (0.10, 0.30, 0.50, np.inf)
    palettes = [(zone < limit) for limit in ring_limits]
    parts = [
        (SUN_GLASS, palettes[0]),
        (RAY_GLASS, palettes[1] & ~palettes[0]),
        (DUSK_GLASS, palettes[2] & ~palettes[1]),
        (SKY_GLASS, ~palettes[2]),
    ]
    for which, glass in enumerate((HILL_GLASS, RIVER_GLASS, GROUND_GLASS)):
        parts.append((glass, y > _ridge(frame, x, which) - 0.002))
    for glass, inside in parts:
        pick = glass[(chance[:, 0] * len(glass)).astype(int)]
        color[inside] = pick[inside]
    return color * (0.72 + 0.40 * chance[:, 2:])


def _panes(x: Array, y: Array, sites: Array) -> tuple[Array, Array, Array]:
    """Returns each pixel's pane, its distance to the pane's border, and its distance to the center."""
    points = np.stack([x.ravel(), y.ravel()], 1)
    distance, nearest = (np.asarray(found) for found in KDTree(sites).query(points, k=3))
    first = sites[nearest[:, 0]]
    border = np.full(len(points), np.inf)
    for k in (1, 2):
        # The distance to the line halfway between two centers, exact where F2 - F1 would bulge.
        gap = np.linalg.norm(sites[nearest[:, k]] - first, axis=1)
        border = np.minimum(border, (distance[:, k] ** 2 - distance[:, 0] ** 2) / (2 * gap))
    shape = x.shape
    return (
        nearest[:, 0].reshape(shape),
        border.astype(np.float32).reshape(shape),
        distance[:, 0].astype(np.float32).reshape(shape),
    )


def _streaks(noise: Noise, x: Array, y: Array, turn: Array) -> Array:
    """Returns noise drawn out along each pane's own direction, in [0, 1]."""
    cosine, sine = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    along, across = x * cosine + y * sine, y * cosine - x * sine
    swing = 0.02 * np.sin(18 * along + 40 * turn)
    return noise(0.22 * along + 9 * turn, across + swing, 30.0, octaves=3)


def _light(frame: Frame, noise: Noise, x: Array, y: Array, turn: Array, from_center: Array) -> Array:
    """Returns how much light comes through: the sun behind, the glass' thickness, its ripples and bubbles."""
    sun = np.hypot(x - SUN[0] * frame.right, y - SUN[1] * frame.bottom)
    glow = 0.92 + 0.50 * np.exp(-((sun / 0.42) ** 2)) - 0.10 * smoothstep(0.6, 1.3, sun)
    angle = 2 * np.pi * turn
    tilt = 0.22 * np.sin(14 * (x * np.cos(angle) + y * np.sin(angle)) + 50 * turn)
    # Hammered glass: dents that catch the light on one side.
    dents = noise(x, y + 2, 30.0, octaves=2) + 0.5 * noise(x + 3, y, 75.0)
    slope_y, slope_x = np.gradient(dents * np.float32(0.055 * frame.unit))
    dented = 0.20 * np.tanh(2.2 * (0.6 * slope_x + 0.8 * slope_y))
    ripples = _streaks(noise, x, y, turn) - 0.5
    grain = noise(x, y, 48.0, octaves=3) - 0.5
    bubbles = smoothstep(0.80, 0.90, noise(x + 5, y, 42.0))
    heart = 0.16 * smoothstep(0.055, 0.0, from_center)
    return np.clip(glow * (1 + tilt + 1.05 * ripples + 0.55 * grain + dented + heart) + 0.30 * bubbles, 0.10, 1.7)


def _leaded(frame: Frame, noise: Noise, x: Array, y: Array, color: Array, border: Array) -> Array:
    """Returns the panes set in lead: dark, rounded, with a glint, and a bloom of light across it."""
    half = LEAD * (0.85 + 0.5 * noise(x, y, 9.0))
    soft = 0.75 / frame.unit
    shadow = 0.55 + 0.45 * smoothstep(0.0, 0.010, border - half)
    color = color * shadow[..., None]
    profile = np.sqrt(np.clip(1 - (border / (half + soft)) ** 2, 0, 1))
    slope_y, slope_x = np.gradient(ndimage.gaussian_filter(profile * LEAD * frame.unit, max(0.5, 0.0012 * frame.unit)))
    glint = np.clip(0.6 * slope_x + 0.8 * slope_y, 0, 1)
    lead = rgb("0d0c12")[0] + 0.10 * (noise(x, y, 40.0) - 0.3)[..., None] + 0.55 * glint[..., None] * rgb("a9b4c8")[0]
    color = mix(color, lead, smoothstep(soft, -soft, border - half))
    bloom = ndimage.gaussian_filter(np.clip(color, 0, 1), (0.02 * frame.unit, 0.02 * frame.unit, 0))
    return 1 - (1 - np.clip(color, 0, 1)) * (1 - 0.16 * bloom)
