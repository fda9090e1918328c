"""Reading and writing pictures, against NumPy, hand-made files, and colors worked out by hand."""

import io
import os
import struct
import zlib

import jax.numpy as jnp
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from jaxstyle.checks import InputError
from jaxstyle.pictures import image_decoding, image_files
from jaxstyle.pictures.image_files import check_output, parse_color, read_picture, write_picture

FORMATS = {"PNG": {}, "JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "TIFF": {}}
SUFFIXES = [".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"]
PNG_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
MATTE = (0.25, 0.5, 1.0)


def random_bytes(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def png_file(samples, size=None, **chunks):
    """A PNG written by hand, unfiltered: Pillow cannot write 16-bit color, nor lie about the size."""
    height, width, channels = samples.shape
    header = struct.pack(">2I", *(size or (width, height)))
    header += bytes([8 * samples.itemsize, PNG_COLOR_TYPES[channels], 0, 0, 0])
    lines = samples.astype(samples.dtype.newbyteorder(">"))
    data = zlib.compress(b"".join(b"\0" + line.tobytes() for line in lines))
    extra = [(name.encode(), value) for name, value in chunks.items()]
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, value in [(b"IHDR", header), *extra, (b"IDAT", data), (b"IEND", b"")]:
        parts.append(struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value)))
    return b"".join(parts)


def icc_profile(space, pcs, tags):
    """A version 2 ICC profile with these tags (ICC.1:2001-04, section 6)."""
    table, body = b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">2I", 132 + 12 * len(tags) + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    start = b"\0\0\0\0\x02\x10\0\0" + kind + space + pcs + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp"
    header = start.ljust(64, b"\0") + struct.pack(">4x3i", 0xF6D6, 0x10000, 0xD32D)  # the D50 white
    data = header.ljust(124, b"\0") + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(data) + 4) + data


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


LINEAR = b"curv" + struct.pack(">3Ix", 0, 0, 0)[:8]  # a curve of no points is the identity
# sRGB's primaries, adapted to D50, with those of red and green exchanged.
SWAPPED_LINEAR_RGB = icc_profile(
    b"RGB ",
    b"XYZ ",
    {
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"gXYZ": xyz(0.4361, 0.2225, 0.0139),
        b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
        b"rTRC": LINEAR,
        b"gTRC": LINEAR,
        b"bTRC": LINEAR,
    },
)
LINEAR_GRAY = icc_profile(b"GRAY", b"XYZ ", {b"wtpt": xyz(0.9642, 1.0, 0.8249), b"kTRC": LINEAR})


def black_ink_profile():
    """A CMYK profile whose lightness is L* = 100 (1 - black), whatever the other inks."""
    grid = b"".join(bytes([0 if node % 2 else 255, 128, 128]) for node in range(16))  # black varies fastest
    matrix = struct.pack(">9i", *(65536 * value for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + bytes(range(256)) * 4 + grid + bytes(range(256)) * 3
    return icc_profile(b"CMYK", b"Lab ", {b"wtpt": xyz(0.9642, 1.0, 0.8249), b"A2B0": table, b"A2B1": table})


def srgb_encode(linear):
    linear = np.asarray(linear, np.float64)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def load(path):
    with Image.open(path) as image:
        image.load()
        return image


def composite(color, alpha):
    return color * alpha[..., None] + np.asarray(MATTE) * (1 - alpha[..., None])


@pytest.mark.parametrize(("picture_format", "options"), FORMATS.items())
def test_rgb_of_every_format(tmp_path, picture_format, options):
    image = Image.fromarray(random_bytes(24, 17, 3))
    image.save(tmp_path / "picture", picture_format, **options)
    picture = read_picture(tmp_path / "picture")
    assert picture.dtype == np.float32
    assert picture.flags.c_contiguous
    expected = np.asarray(image)
    if picture_format == "JPEG":  # lossy: what Pillow decodes is the reference
        expected = np.asarray(load(tmp_path / "picture"))
    np.testing.assert_allclose(picture, expected / 255, rtol=0, atol=1e-7)


@pytest.mark.parametrize("picture_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_modes(tmp_path, picture_format, mode):
    data = random_bytes(9, 14, 4)
    alpha = np.ones((9, 14))
    if mode in ("1", "L", "LA"):
        gray = data[..., 0] // 128 * 255 if mode == "1" else data[..., 0]
        color = np.repeat(gray[..., None], 3, axis=-1) / 255
        image = Image.fromarray(gray).convert(mode)
    elif mode == "P":
        palette = random_bytes(7, 3, seed=1)
        color = palette[data[..., 0] % 7] / 255
        image = Image.frombytes("P", (14, 9), (data[..., 0] % 7).tobytes())
        image.putpalette(palette.tobytes())
    else:
        color = data[..., :3] / 255
        image = Image.fromarray(data)
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(data[..., 3]))
        alpha = data[..., 3] / 255
    image.save(tmp_path / "picture", picture_format)
    picture = read_picture(tmp_path / "picture", matte=MATTE)
    np.testing.assert_allclose(picture, composite(color, alpha), rtol=0, atol=1e-6)


def test_transparent_colors(tmp_path):
    samples = random_bytes(8, 8, 3) % 4
    cases = {"L": (samples[..., :1], (2,)), "RGB": (samples, (2, 1, 3)), "deep": (samples.astype(np.uint16), (2, 1, 3))}
    samples[0, 0] = 2, 1, 3
    cases["deep"][0][0, 0] = 2, 1, 3
    cases["deep gray"] = samples[..., :1].astype(np.uint16), (2,)
    for name, (values, clear) in cases.items():
        (tmp_path / name).write_bytes(png_file(values, tRNS=struct.pack(f">{len(clear)}H", *clear)))
        alpha = 1.0 - np.all(values == clear, axis=-1)
        color = np.broadcast_to(values / np.iinfo(values.dtype).max, (8, 8, 3))
        assert alpha.min() == 0
        np.testing.assert_allclose(
            read_picture(tmp_path / name, matte=MATTE), composite(color, alpha), rtol=0, atol=1e-6
        )


def test_palette_with_an_alpha_for_each_entry(tmp_path):
    palette, opacities = random_bytes(4, 3), bytes([0, 100, 255, 255])
    index = random_bytes(6, 5, seed=1) % 4
    image = Image.frombytes("P", (5, 6), index.tobytes())
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "a.png", transparency=opacities)
    expected = composite(palette[index] / 255, np.frombuffer(opacities, np.uint8)[index] / 255)
    np.testing.assert_allclose(read_picture(tmp_path / "a.png", matte=MATTE), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_keeps_its_precision(tmp_path, channels):
    samples = random_bytes(11, 7, channels, dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(png_file(samples))
    values = samples / 65535
    alpha = values[..., -1] if channels in (2, 4) else np.ones((11, 7))
    color = values[..., :-1] if channels in (2, 4) else values
    np.testing.assert_allclose(
        read_picture(tmp_path / "a.png", matte=MATTE), composite(color, alpha), rtol=0, atol=3e-7
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"byteorder": ">"}, {"compression": "zlib", "predictor": True}, {"planarconfig": "separate"}],
    ids=str,
)
@pytest.mark.parametrize("photometric", ["rgb", "minisblack", "miniswhite"])
def test_sixteen_bit_tiff_keeps_its_precision(tmp_path, options, photometric):
    if photometric == "miniswhite" and options:
        pytest.skip("Pillow reads this kind of TIFF only in its plain form")
    samples = random_bytes(11, 7, 3, dtype=np.uint16)
    expected = samples / 65535
    if photometric != "rgb":
        samples = samples[..., 0]
        expected = np.repeat(expected[..., :1], 3, axis=-1)
        expected = 1 - expected if photometric == "miniswhite" else expected
        options = {name: value for name, value in options.items() if name != "planarconfig"}
    elif "planarconfig" in options:
        samples = np.moveaxis(samples, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric=photometric, **options)
    np.testing.assert_allclose(read_picture(tmp_path / "a.tif"), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("picture_format", ["JPEG", "TIFF"])
def test_cmyk_without_profile(tmp_path, picture_format):
    flat = np.broadcast_to(np.array([40, 90, 200, 60], np.uint8), (16, 16, 4))
    Image.frombytes("CMYK", (16, 16), flat.tobytes()).save(tmp_path / "a", picture_format)
    expected = (1 - np.array([40, 90, 200]) / 255) * (1 - 60 / 255)
    np.testing.assert_allclose(read_picture(tmp_path / "a")[8, 8], expected, rtol=0, atol=2.5 / 255)


def test_cmyk_profile(tmp_path):
    black = np.array([0, 30, 128, 200, 255])
    inks = np.stack([0 * black, 0 * black, 0 * black, black], axis=-1).astype(np.uint8)
    image = Image.frombytes("CMYK", (5, 1), inks.tobytes())
    image.save(tmp_path / "a.tif", icc_profile=black_ink_profile())
    lightness = 100 * (1 - black / 255)
    y = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)  # CIE 15: L* to Y
    expected = np.repeat(srgb_encode(y)[:, None], 3, axis=-1)
    np.testing.assert_allclose(read_picture(tmp_path / "a.tif")[0], expected, rtol=0, atol=2 / 255)


@pytest.mark.parametrize("picture_format", FORMATS)
def test_rgb_profile_is_converted(tmp_path, picture_format):
    color = np.array([180, 60, 110], np.uint8)
    image = Image.fromarray(np.broadcast_to(color, (16, 16, 3)).copy())
    image.save(tmp_path / "a", picture_format, icc_profile=SWAPPED_LINEAR_RGB, **FORMATS[picture_format])
    expected = srgb_encode(color[[1, 0, 2]] / 255)
    tolerance = 4 / 255 if picture_format == "JPEG" else 1.5 / 255
    np.testing.assert_allclose(read_picture(tmp_path / "a")[8, 8], expected, rtol=0, atol=tolerance)


def test_profile_of_16_bit_transparent_and_gray_files(tmp_path):
    samples = np.tile(np.array([180, 60, 110, 51], np.uint16) * 257, (4, 4, 1))
    chunk = b"name\0\0" + zlib.compress(SWAPPED_LINEAR_RGB)
    (tmp_path / "rgba.png").write_bytes(png_file(samples, iCCP=chunk))
    expected = composite(srgb_encode(np.array([60, 180, 110]) / 255)[None], np.array([0.2]))[0]
    picture = read_picture(tmp_path / "rgba.png", matte=MATTE)
    np.testing.assert_allclose(picture[0, 0], expected, rtol=0, atol=1.5 / 255)
    ramp = np.arange(256, dtype=np.uint8)[None, :, None]
    for name, profile in {"gray": LINEAR_GRAY, "of another kind": SWAPPED_LINEAR_RGB}.items():
        (tmp_path / name).write_bytes(png_file(ramp, iCCP=b"name\0\0" + zlib.compress(profile)))
        expected = np.repeat(srgb_encode(ramp[..., 0] / 255)[..., None], 3, axis=-1)
        np.testing.assert_allclose(read_picture(tmp_path / name), expected, rtol=0, atol=1.5 / 255)


@pytest.mark.parametrize("profile", [b"no profile at all", SWAPPED_LINEAR_RGB[:150], LINEAR_GRAY, black_ink_profile()])
def test_useless_profile_is_ignored(tmp_path, profile):
    samples = random_bytes(5, 6, 3)
    Image.fromarray(samples).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_allclose(read_picture(tmp_path / "a.png"), samples / 255, rtol=0, atol=1e-7)


def test_srgb_profile_changes_nothing(tmp_path):
    samples = random_bytes(40, 40, 3, dtype=np.uint16)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (tmp_path / "a.png").write_bytes(png_file(samples, iCCP=b"name\0\0" + zlib.compress(profile)))
    np.testing.assert_allclose(read_picture(tmp_path / "a.png"), samples / 65535, rtol=0, atol=1e-7)


# EXIF 2.3, tag Orientation: the visual side of the stored row 0 and of the stored column 0.
SIDES = ["top left", "top right", "bottom right", "bottom left"]
SIDES += ["left top", "right top", "right bottom", "left bottom"]


@pytest.mark.parametrize("picture_format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, picture_format, orientation):
    upright = np.kron(random_bytes(2, 3, 3), np.ones((16, 16, 1), np.uint8))  # flat blocks survive JPEG
    sides = SIDES[orientation - 1].split()
    stored = upright
    if sides[0] in ("left", "right"):  # rows run along the width
        stored = np.stack([upright[:, x] for x in range(upright.shape[1])])
    if sides[0] in ("bottom", "right"):
        stored = stored[::-1]
    if sides[1] in ("bottom", "right"):
        stored = stored[:, ::-1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = FORMATS[picture_format] | ({"subsampling": 0} if picture_format == "JPEG" else {})
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a", picture_format, exif=exif, **options)
    picture = read_picture(tmp_path / "a")
    assert picture.shape == upright.shape
    np.testing.assert_allclose(picture, upright / 255, rtol=0, atol=4 / 255)


def test_orientation_of_sixteen_bit_tiff(tmp_path):
    samples = random_bytes(4, 6, 3, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    np.testing.assert_allclose(read_picture(tmp_path / "a.tif"), np.rot90(samples, -1) / 65535, atol=1e-7)


@pytest.mark.parametrize("picture_format", ["PNG", "WEBP", "TIFF"])
def test_first_frame_of_animations(tmp_path, picture_format):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    options = {"lossless": True} if picture_format == "WEBP" else {}
    frames[0].save(tmp_path / "a", picture_format, save_all=True, append_images=frames[1:], **options)
    with Image.open(tmp_path / "a") as animation:
        assert animation.n_frames == 2
    np.testing.assert_array_equal(read_picture(tmp_path / "a")[4, 4], [1, 0, 0])


@pytest.mark.parametrize(("picture_format", "options"), FORMATS.items())
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_truncated(tmp_path, picture_format, options, share):
    file = io.BytesIO()
    Image.fromarray(random_bytes(64, 64, 3)).save(file, picture_format, **options)
    data = file.getvalue()
    (tmp_path / "a").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"^expected .*picture, got '.*a'.*; .*copy it again$"):
        read_picture(tmp_path / "a")


def test_truncated_sixteen_bit(tmp_path):
    data = png_file(random_bytes(64, 64, 3, dtype=np.uint16))
    (tmp_path / "a").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cut short or damaged"):
        read_picture(tmp_path / "a")


def test_damaged_files_raise_nothing_but_input_errors(tmp_path):
    random = np.random.default_rng(0)
    outcomes = set()
    for picture_format, options in FORMATS.items():
        file = io.BytesIO()
        Image.fromarray(random_bytes(16, 16, 3)).save(file, picture_format, **options)
        for _ in range(40):
            data = bytearray(file.getvalue())
            for position in random.integers(0, min(len(data), 300), 3):
                data[position] = random.integers(256)
            (tmp_path / "a").write_bytes(data)
            try:
                outcomes.add(read_picture(tmp_path / "a").dtype.name)
            except InputError:
                outcomes.add("refused")
    assert outcomes == {"float32", "refused"}


def test_unsuitable_files(tmp_path):
    contents = {
        "empty": (b"", "the empty"),
        "text": (b"Not a picture.\n" * 99, "expected a PNG, JPEG, .* picture, got '.*text', a text; convert"),
        "script": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript document"),
    }
    for name, (content, message) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_picture(tmp_path / name)
    for dtype, found in ((np.float32, "of floats"), (np.int32, "of 32-bit")):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), dtype))
        with pytest.raises(InputError, match=found):
            read_picture(tmp_path / "a.tif")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a device or a pipe"):
        read_picture(tmp_path / "pipe")


def test_missing_and_folder(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"^expected a picture file, got no '.*none.png'; check"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError, match=r"^expected a picture file, got the folder '.*'; name"):
        read_picture(tmp_path)
    write_picture(tmp_path / "a.png", np.zeros((2, 2, 3)))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError, match="expected a file one may read"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(100_000, 100_000), (12_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_by_the_header(tmp_path, size, monkeypatch):
    (tmp_path / "a.png").write_bytes(png_file(random_bytes(1, 1, 3), size=size))
    monkeypatch.setattr(Image.core, "new", lambda *_: pytest.fail("memory was taken"))
    monkeypatch.setattr(Image.core, "fill", lambda *_: pytest.fail("memory was taken"))
    with pytest.raises(InputError, match="at most 100000000 pixels"):
        read_picture(tmp_path / "a.png")


def test_max_pixels_and_matte(tmp_path):
    write_picture(tmp_path / "a.png", np.zeros((4, 5, 3)))
    assert read_picture(tmp_path / "a.png", max_pixels=20).shape == (4, 5, 3)
    with pytest.raises(InputError, match=r"at most 19 pixels, got '.*' with 5 x 4"):
        read_picture(tmp_path / "a.png", max_pixels=19)
    with pytest.raises(InputError, match="max_pixels"):
        read_picture(tmp_path / "a.png", max_pixels=0)
    with pytest.raises(InputError, match="matte"):
        read_picture(tmp_path / "a.png", matte=(0, 0, 255))


@pytest.mark.parametrize(("suffix", "bit_depth"), [(".png", 8), (".tif", 8), (".png", 16), (".TIFF", 16)])
def test_lossless_round_trip(tmp_path, suffix, bit_depth):
    levels = 2**bit_depth - 1
    picture = np.random.default_rng(0).uniform(-0.1, 1.1, (13, 10, 3)).astype(np.float32)
    write_picture(tmp_path / f"a{suffix}", picture, bit_depth=bit_depth)
    expected = np.round(np.clip(picture.astype(np.float64), 0, 1) * levels)
    np.testing.assert_allclose(read_picture(tmp_path / f"a{suffix}") * levels, expected, atol=levels * 1e-7)
    high_bytes = expected if bit_depth == 8 else expected // 256  # all that Pillow reads by itself
    np.testing.assert_array_equal(np.asarray(load(tmp_path / f"a{suffix}")), high_bytes)


def test_lossy_round_trips(tmp_path):
    y, x = np.mgrid[:64, :48] / 64
    picture = np.stack([x, y, 1 - x], axis=-1)
    for name in ("a.jpg", "a.jpeg", "a.webp"):
        write_picture(tmp_path / name, picture)
        np.testing.assert_allclose(read_picture(tmp_path / name), picture, rtol=0, atol=0.05)


def test_jpeg_quality_and_color_resolution(tmp_path):
    write_picture(tmp_path / "a.jpg", np.random.default_rng(0).random((16, 16, 3)))
    image = load(tmp_path / "a.jpg")
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3
    # ITU-T T.81, table K.1, first row, scaled as libjpeg does for quality 95: (10 T + 50) // 100.
    first_row = np.array([16, 11, 10, 16, 24, 40, 51, 61])
    np.testing.assert_array_equal(image.quantization[0][:8], (10 * first_row + 50) // 100)


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_written_files(tmp_path, suffix, bit_depth):
    """The profile is sRGB, two writes give the same bytes, nothing else is left, and the mode is the usual one."""
    if bit_depth == 16 and not suffix.startswith((".png", ".tif")):
        pytest.skip("this format has 8 bits only")
    picture = np.random.default_rng(0).random((9, 8, 3))
    image_decoding.srgb_profile.cache_clear()  # its time of making must not get in, even in another second
    write_picture(tmp_path / f"a{suffix}", picture, bit_depth=bit_depth)
    write_picture(tmp_path / f"b{suffix}", jnp.asarray(picture), bit_depth=bit_depth)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    profile = load(tmp_path / f"a{suffix}").info["icc_profile"]
    assert profile[24:36] == bytes([7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]
    (tmp_path / "plain").touch()
    assert (tmp_path / f"a{suffix}").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_is_far_outside_is_clipped_but_bytes_are_refused(tmp_path):
    """A run without bounds must not lose its picture at the last line of a script."""
    burnt = np.linspace(-3, 4, 60).reshape(4, 5, 3)
    write_picture(tmp_path / "a.png", burnt)
    np.testing.assert_allclose(read_picture(tmp_path / "a.png"), burnt.clip(0, 1), rtol=0, atol=0.5 / 255 + 1e-6)
    with pytest.raises(InputError, match=r"in \[0, 1\], got values from 0 to 236; divide values of 0..255 by 255"):
        write_picture(tmp_path / "b.png", np.arange(0, 240, 4.0).reshape(4, 5, 3))


def test_sixteen_bit_png_checksums_and_bytes(tmp_path):
    samples = random_bytes(5, 4, 3, dtype=np.uint16)
    write_picture(tmp_path / "a.png", samples / 65535, bit_depth=16)
    data, chunks, position = (tmp_path / "a.png").read_bytes(), {}, 8
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        chunks[name] = data[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", data, position + 8 + length)[0] == zlib.crc32(name + chunks[name])
        position += 12 + length
    assert list(chunks) == [b"IHDR", b"iCCP", b"IDAT", b"IEND"]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(5, -1)
    np.testing.assert_array_equal(lines[:, 0], 2)  # the filter "up", undone by a running sum modulo 256
    np.testing.assert_array_equal(np.cumsum(lines[:, 1:], axis=0, dtype=np.uint8).view(">u2"), samples.reshape(5, -1))


def test_overwriting(tmp_path):
    path = tmp_path / "a.png"
    write_picture(path, np.zeros((2, 2, 3)))
    before = path.read_bytes()
    for call in (lambda: check_output(path), lambda: write_picture(path, np.ones((2, 2, 3)))):
        with pytest.raises(FileExistsError, match=r"^expected a name that is still free, .*--overwrite"):
            call()
    assert path.read_bytes() == before
    assert check_output(str(path), overwrite=True) == path
    write_picture(path, np.ones((2, 2, 3)), overwrite=True)
    assert read_picture(path).min() == 1
    (tmp_path / "link.png").symlink_to(tmp_path / "new.png")  # a link stands for what it leads to
    write_picture(tmp_path / "link.png", np.zeros((2, 2, 3)))
    assert (tmp_path / "link.png").is_symlink()
    assert read_picture(tmp_path / "new.png").max() == 0


def test_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    encode = image_files._encode

    def encode_slowly(*args):
        encode(*args)
        path.write_bytes(b"another program's")

    monkeypatch.setattr(image_files, "_encode", encode_slowly)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_picture(path, np.zeros((2, 2, 3)))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"another program's"]


def test_file_system_without_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_picture(tmp_path / "a.png", np.zeros((2, 2, 3)))
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    def fill_the_disk(file, *_):
        file.write(b"half a picture")
        raise OSError(28, "No space left on device")

    write_picture(tmp_path / "a.png", np.zeros((2, 2, 3)))
    before = (tmp_path / "a.png").read_bytes()
    monkeypatch.setattr(image_files, "_encode", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        write_picture(tmp_path / "a.png", np.ones((2, 2, 3)), overwrite=True)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


def test_check_output(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for name, error, message in [
        ("a.gif", InputError, r"expected a picture name ending in \.png, .*, got '.*a\.gif'; choose"),
        ("a", InputError, "ending in"),
        ("none/a.png", FileNotFoundError, "expected an existing folder, got no '.*none'; create it"),
        ("file/a.png", NotADirectoryError, "expected a folder to write into, got the file '.*file'; "),
        ("folder.png", IsADirectoryError, "expected a file name, got the folder"),
    ]:
        with pytest.raises(error, match=message):
            check_output(tmp_path / name, overwrite=True)
    for suffix, bit_depth in [(".jpg", 16), (".webp", 16), (".png", 12)]:
        with pytest.raises(InputError, match="8 bits, or 16 for"):
            check_output(tmp_path / f"a{suffix}", bit_depth=bit_depth)
    assert check_output(tmp_path / "A.TIF", bit_depth=16) == tmp_path / "A.TIF"
    assert not (tmp_path / "A.TIF").exists()

    def refuse(*_: object, **__: object) -> None:  # root, who may run this, may write everywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "touch", refuse)
    with pytest.raises(PermissionError, match="expected a folder one may write to"):
        check_output(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((4, 4)), r"a picture \[height, width, 3\], got the shape \[4, 4\]"),
        (np.zeros((4, 4, 4)), "the shape"),
        (np.zeros((0, 4, 3)), "the shape"),
        (np.zeros((4, 4, 3), np.uint8), "a picture of floats, got uint8"),
        (np.full((2, 2, 3), np.nan), "finite values only, got 12"),
        (np.full((2, 2, 3), np.inf), "finite values only"),
        (np.zeros((1, 16384, 3), np.float32), "at most 16383 pixels a side"),
    ],
)
def test_unsuitable_pictures(tmp_path, picture, message):
    with pytest.raises(InputError, match=message):
        write_picture(tmp_path / "a.webp", picture)
    assert not list(tmp_path.iterdir())


def test_other_float_types(tmp_path):
    write_picture(tmp_path / "a.png", jnp.full((2, 2, 3), 0.5, jnp.bfloat16))
    write_picture(tmp_path / "b.png", [[[0.5, 0.5, 0.5]] * 2] * 2)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_parse_color():
    assert parse_color("white") == (1, 1, 1)
    assert parse_color("black") == (0, 0, 0)
    assert parse_color("#FF8000") == (1, 128 / 255, 0)
    assert parse_color("cornflowerblue") == (100 / 255, 149 / 255, 237 / 255)
    for text in ("", "no such color", "#12", "#ff800080"):
        with pytest.raises(InputError, match="expected an opaque color"):
            parse_color(text)
