"""Animations as Pillow reads them back: times, colors, repetitions; and what is refused."""

import gc
import weakref

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import uniform_filter

from jaxstyle.checks import InputError
from jaxstyle.pictures.animation_files import check_animation, write_animation

SUFFIXES = [".gif", ".webp"]


def read_back(path):
    """Returns frames in 0..1 and their durations in milliseconds."""
    frames, durations = [], []
    with Image.open(path) as file:
        for index in range(getattr(file, "n_frames", 1)):
            file.seek(index)
            frames.append(np.asarray(file.convert("RGB")) / 255)
            durations.append(file.info["duration"])
    return frames, durations


@pytest.fixture
def waves():
    y, x = np.mgrid[:48, :64] / 64
    return [
        np.stack([0.5 + 0.5 * np.sin(9 * x + shift), y, 0.5 + 0.5 * np.cos(7 * x * y - shift)], -1).astype(np.float32)
        for shift in np.arange(4)
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_and_durations(tmp_path, waves, suffix):
    write_animation(tmp_path / f"a{suffix}", waves, seconds_per_frame=0.25)
    frames, durations = read_back(tmp_path / f"a{suffix}")
    assert durations == [250] * 4
    for frame, wave in zip(frames, waves, strict=True):
        # Dithering trades errors of pixels for right means of their surroundings.
        near = uniform_filter(frame, (5, 5, 0)) - uniform_filter(wave, (5, 5, 0))
        assert np.abs(near[2:-2, 2:-2]).mean() < 1.5 / 255
        assert np.abs(near[2:-2, 2:-2]).max() < 10 / 255
        assert np.sqrt(np.mean((frame - wave) ** 2)) < 8 / 255


def test_gif_is_better_than_by_default(tmp_path, waves):
    """Seen from afar, the error is smaller than that of Pillow's own way with RGB frames: median cut, no dithering."""
    write_animation(tmp_path / "a.gif", waves[:1])
    (frame,), _ = read_back(tmp_path / "a.gif")
    plain = Image.fromarray(np.rint(waves[0] * 255).astype(np.uint8)).convert("P", palette=Image.Palette.ADAPTIVE)
    errors = [
        np.square(uniform_filter(picture - waves[0], (5, 5, 0))).mean()
        for picture in (frame, np.asarray(plain.convert("RGB")) / 255)
    ]
    assert errors[0] < 0.5 * errors[1]
    with Image.open(tmp_path / "a.gif") as file:
        assert len(file.getcolors()) > 200


@pytest.mark.parametrize(
    ("suffix", "seconds", "milliseconds"),
    [
        (".gif", 0.1, 100),
        (".gif", 1 / 30, 30),
        (".gif", 0.02, 20),
        (".gif", 0.026, 30),
        (".gif", 655.35, 655350),
        (".webp", 0.1, 100),
        (".webp", 1 / 30, 33),
        (".webp", 0.0206, 21),
        (".webp", 655.35, 655350),
    ],
)
def test_units_of_time(tmp_path, waves, suffix, seconds, milliseconds):
    write_animation(tmp_path / f"a{suffix}", waves[:2], seconds_per_frame=seconds)
    assert read_back(tmp_path / f"a{suffix}")[1] == [milliseconds] * 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_frames_keep_their_time(tmp_path, waves, suffix):
    a, b = waves[:2]
    write_animation(tmp_path / f"a{suffix}", [a, a, b, b, b, a], seconds_per_frame=0.07)
    frames, durations = read_back(tmp_path / f"a{suffix}")
    assert sum(durations) == 6 * 70
    # What is shown in the middle of each of the six times.
    ends = np.cumsum(durations)
    shown = [frames[np.searchsorted(ends, 70 * index + 35)] for index in range(6)]
    for frame, wave in zip(shown, [a, a, b, b, b, a], strict=True):
        assert np.sqrt(np.mean((frame - wave) ** 2)) < 8 / 255


def test_equal_frames_alone(tmp_path, waves):
    write_animation(tmp_path / "a.gif", waves[:1] * 5, seconds_per_frame=0.1)
    assert read_back(tmp_path / "a.gif")[1] == [500]
    with pytest.raises(InputError, match=r"at most 655\.35 s without a change in a \.gif, got 800 s"):
        write_animation(tmp_path / "b.gif", waves[:1] * 2, seconds_per_frame=400)
    with pytest.raises(InputError, match=r"at most 655\.35 s without a change in a \.gif, got 800 s"):
        write_animation(tmp_path / "b.gif", [waves[1], *waves[:1] * 2], seconds_per_frame=400)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


@pytest.mark.parametrize(("loop", "block"), [(0, b"\0\0"), (1, None), (2, b"\1\0"), (3, b"\2\0"), (65535, b"\xfe\xff")])
def test_gif_loop(tmp_path, waves, loop, block):
    """Netscape's extension counts repetitions: `21 ff 0b NETSCAPE2.0 03 01 count 00`; without it, it plays once."""
    write_animation(tmp_path / "a.gif", waves, loop=loop)
    data = (tmp_path / "a.gif").read_bytes()
    if block is None:
        assert b"NETSCAPE" not in data
    else:
        assert b"!\xff\x0bNETSCAPE2.0\x03\x01" + block + b"\0" in data


@pytest.mark.parametrize("loop", [0, 1, 3, 65535])
def test_webp_loop(tmp_path, waves, loop):
    write_animation(tmp_path / "a.webp", waves, loop=loop)
    with Image.open(tmp_path / "a.webp") as file:
        assert file.info["loop"] == loop


def test_few_colors_are_exact(tmp_path):
    random = np.random.default_rng(0)
    colors = random.integers(0, 256, (256, 3))
    frames = [colors[random.integers(0, 256, (40, 50))] / 255 for _ in range(3)]
    frames.append(np.repeat(np.tile(np.arange(256) / 255, (5, 1))[:, :50, None], 3, axis=2).repeat(8, axis=0))
    write_animation(tmp_path / "a.gif", frames)
    for frame, exact in zip(read_back(tmp_path / "a.gif")[0], frames, strict=True):
        np.testing.assert_allclose(frame, exact, rtol=0, atol=1e-9)


def test_thin_lines_get_a_color(tmp_path):
    """Red lines, however far apart: the pixels that the palette is chosen from do not fall in with a grid."""
    y, x = np.mgrid[:400, :400]
    picture = np.stack([x / 800, x / 800, y / 400], axis=-1)
    for step in (4, 8, 16):
        for offset in range(0, step, 3):
            lined = picture.copy()
            lined[offset::step] = [1, 0, 0]
            write_animation(tmp_path / "a.gif", [lined], overwrite=True)
            (frame,), _ = read_back(tmp_path / "a.gif")
            assert np.abs(frame[offset::step] - [1, 0, 0]).mean() < 6 / 255


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (7, 13), (129, 257)])
def test_odd_sizes(tmp_path, suffix, size):
    frames = np.random.default_rng(0).random((2, *size, 3))
    write_animation(tmp_path / f"a{suffix}", frames)
    read, _ = read_back(tmp_path / f"a{suffix}")
    assert [frame.shape for frame in read] == [(*size, 3)] * 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_values_and_types(tmp_path, suffix):
    """Values are clipped; JAX arrays, bfloat16 too, and any iterable will do."""
    black, white = jnp.full((16, 16, 3), -0.09), jnp.full((16, 16, 3), 1.09, jnp.bfloat16)
    write_animation(tmp_path / f"a{suffix}", (frame for frame in (black, white)))
    frames, _ = read_back(tmp_path / f"a{suffix}")
    assert frames[0].max() == 0
    assert frames[1].min() == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_same_bytes_and_nothing_left(tmp_path, waves, suffix):
    for name in "ab":
        write_animation(tmp_path / f"{name}{suffix}", waves)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    with pytest.raises(FileExistsError, match="--overwrite"):
        write_animation(tmp_path / f"a{suffix}", waves[:2])
    write_animation(tmp_path / f"a{suffix}", waves[:2], overwrite=True)
    assert len(read_back(tmp_path / f"a{suffix}")[0]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_are_taken_one_at_a_time(tmp_path, waves, suffix):
    living = weakref.WeakSet()
    most = 0

    class Frame(np.ndarray):
        """An array that can be referred to weakly and is hashed by identity."""

        __hash__ = object.__hash__

    def frames():
        nonlocal most
        for index in range(6):
            frame = np.roll(waves[0], 5 * index, axis=1).view(Frame)
            living.add(frame)
            yield frame
            del frame
            gc.collect()
            most = max(most, len(living))

    write_animation(tmp_path / f"a{suffix}", frames())
    assert most <= 1
    assert len(read_back(tmp_path / f"a{suffix}")[0]) == 6


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("second", "message"),
    [
        (np.zeros((48, 63, 3)), r"frames of one size, 64 x 48, got 63 x 48 in frame 2; "),
        (np.zeros((64, 48, 3)), r"got 48 x 64 in frame 2"),
        (np.zeros((48, 64)), r"a picture \[height, width, 3\]"),
        (np.zeros((48, 64, 3), np.uint8), "a picture of floats, got uint8"),
        (np.full((48, 64, 3), np.nan), "finite values only"),
    ],
)
def test_unsuitable_frames(tmp_path, waves, suffix, second, message):
    for frames in ([waves[0], second], (frame for frame in (waves[0], second))):
        with pytest.raises(InputError, match=message):
            write_animation(tmp_path / f"a{suffix}", frames)
    assert not list(tmp_path.iterdir())


def test_unsuitable_numbers(tmp_path, waves):
    for suffix, side in ((".gif", 65_536), (".webp", 16_384)):
        path = tmp_path / f"a{suffix}"
        for frames in ([], iter(())):
            with pytest.raises(InputError, match="at least one frame, got none"):
                write_animation(path, frames)
        for seconds in (0, 0.01, -1, float("nan"), float("inf"), 700):
            with pytest.raises(InputError, match="seconds_per_frame between"):
                write_animation(path, waves, seconds_per_frame=seconds)
        for loop in (-1, 65_536):
            with pytest.raises(InputError, match="loop between 0 and 65535"):
                write_animation(path, waves, loop=loop)
        with pytest.raises(InputError, match=f"at most {side - 1} pixels a side for {suffix}, got {side} x 1"):
            write_animation(path, [np.zeros((1, side, 3), np.float32)])
    assert not list(tmp_path.iterdir())


def test_a_failing_source_leaves_nothing(tmp_path, waves):
    def frames():
        yield waves[0]
        raise RuntimeError("the run broke")

    for suffix in SUFFIXES:
        (tmp_path / f"a{suffix}").write_bytes(b"what was there")
        with pytest.raises(RuntimeError, match="broke"):
            write_animation(tmp_path / f"a{suffix}", frames(), overwrite=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"what was there"] * 2


def test_check_animation(tmp_path):
    (tmp_path / "folder.gif").mkdir()
    for name, error, message in [
        ("a.png", InputError, r"expected an animation name ending in \.gif or \.webp, got '.*a\.png'; choose"),
        ("a", InputError, "ending in"),
        ("none/a.gif", FileNotFoundError, "an existing folder"),
        ("folder.gif", IsADirectoryError, "a file name"),
    ]:
        with pytest.raises(error, match=message):
            check_animation(tmp_path / name, overwrite=True)
        with pytest.raises(error, match=message):
            write_animation(tmp_path / name, iter(pytest.fail, None), overwrite=True)
    assert check_animation(str(tmp_path / "A.GIF")) == tmp_path / "A.GIF"
    assert not (tmp_path / "A.GIF").exists()
    (tmp_path / "a.webp").touch()
    with pytest.raises(FileExistsError):
        check_animation(tmp_path / "a.webp")
    assert check_animation(tmp_path / "a.webp", overwrite=True) == tmp_path / "a.webp"
