"""Sound files of unusual kinds are read, against Pillow and scikit-image; of others it is said what they are."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from skimage.transform import downscale_local_mean

from jaxstyle.checks import InputError
from jaxstyle.cli.pictures import read_resized, read_scaled
from jaxstyle.pictures import image_decoding
from jaxstyle.pictures.image_files import read_picture
from tests.hostile_pictures import encoded, flat_png, png_chunk
from tests.pictures.test_image_files import SWAPPED_LINEAR_RGB, png_file, random_bytes, srgb_encode

EXIF = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6: a quarter turn clockwise


def pillow(data: bytes, mode: str = "RGB") -> np.ndarray:
    """What Pillow makes of the first frame, as it lies in the file."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode)) / 255


def assert_read(path, data: bytes, expected: np.ndarray, **options) -> None:
    path.write_bytes(data)
    np.testing.assert_allclose(read_picture(path, **options), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("picture_format", ["AVIF", "BMP", "GIF", "MPO"])
@pytest.mark.parametrize("name", ["picture", "PICTURE.PNG", "a.jpg"])
def test_more_formats_whatever_the_ending(tmp_path, picture_format, name):
    data = encoded(picture_format)
    assert_read(tmp_path / name, data, pillow(data))


@pytest.mark.parametrize("picture_format", ["GIF", "AVIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_first_frame_of_many(tmp_path, picture_format):
    frames = [Image.fromarray(random_bytes(20, 24, 3, seed=seed)) for seed in range(5)]
    file = io.BytesIO()
    frames[0].save(file, picture_format, save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(file.getvalue())) as image:
        assert image.n_frames == 5
    assert_read(tmp_path / "a", file.getvalue(), pillow(file.getvalue()))


@pytest.mark.parametrize("mode", ["1", "P", "L"])
def test_bmp_modes(tmp_path, mode):
    data = encoded("BMP", mode=mode)
    assert_read(tmp_path / "a.bmp", data, pillow(data))


def test_bmp_from_top_to_bottom(tmp_path):
    data = bytearray(encoded("BMP", size=(8, 5)))
    struct.pack_into("<i", data, 22, -5)
    assert_read(tmp_path / "a.bmp", bytes(data), pillow(encoded("BMP", size=(8, 5)))[::-1])


def test_transparent_gif(tmp_path):
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) % 3).convert("P")
    file = io.BytesIO()
    image.save(file, "GIF", transparency=1)
    rgba = pillow(file.getvalue(), "RGBA")
    assert rgba[..., 3].min() == 0
    expected = rgba[..., :3] * rgba[..., 3:] + np.array([1, 0.5, 0]) * (1 - rgba[..., 3:])
    assert_read(tmp_path / "a.gif", file.getvalue(), expected, matte=(1, 0.5, 0))


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_jpeg_modes(tmp_path, mode):
    data = encoded("JPEG", mode=mode, quality=95)
    assert_read(tmp_path / "a.jpg", data, pillow(data))


def test_texts_of_any_size_are_passed_over(tmp_path):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "x" * 2**21, zip=True)
    texts.add_text("Another", "y" * 2**21)
    texts.add_itxt("Third", "z" * 2**23, zip=True)
    data = encoded("PNG", pnginfo=texts)
    with pytest.raises(ValueError, match="too large"):  # what Pillow says to it
        Image.open(io.BytesIO(data)).load()
    assert_read(tmp_path / "a.png", data, pillow(encoded("PNG")))


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"eXIf", EXIF),
        png_chunk(b"eXIf", EXIF + bytes(70_000)),
        png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n32\n" + EXIF.hex().encode())),
        png_chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'),
    ],
    ids=["eXIf", "long eXIf", "zTXt", "XMP"],
)
def test_orientation_of_a_png(tmp_path, chunk):
    samples = random_bytes(4, 6, 3)
    data = png_file(samples)
    for place in (33, len(data) - 12):  # after the header, and after the pixels
        assert_read(tmp_path / "a.png", data[:place] + chunk + data[place:], np.rot90(samples, -1) / 255)


def test_large_profile_of_a_png(tmp_path):
    """Above the megabyte at which Pillow stops; the profile ends where its header says."""
    profile = SWAPPED_LINEAR_RGB + bytes(2**21)
    chunk = png_chunk(b"iCCP", b"name\0\0" + zlib.compress(profile))
    samples = np.tile(np.array([180, 60, 110], np.uint8), (4, 4, 1))
    data = png_file(samples)
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    expected = srgb_encode(np.array([60, 180, 110]) / 255)
    np.testing.assert_allclose(read_picture(tmp_path / "a.png")[0, 0], expected, rtol=0, atol=1.5 / 255)


def test_stray_bytes_between_the_blocks_of_a_gif(tmp_path):
    data = encoded("GIF")
    start = 13 + (3 << ((data[10] & 7) + 1))
    assert_read(tmp_path / "a.gif", data[:start] + b"\0\0" + data[start:], pillow(data))


@pytest.mark.parametrize("picture_format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_what_follows_the_picture_is_passed_over(tmp_path, picture_format):
    """Phones store films and second pictures there."""
    data = encoded(picture_format)
    assert_read(tmp_path / "a", data + encoded("JPEG", size=(99, 99)) + bytes(10**5), pillow(data))


def test_jpeg_with_a_thumbnail_and_much_metadata(tmp_path):
    data = encoded("JPEG")
    extras = b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", len(text) + 2) + text
        for marker, text in [
            (0xE1, b"Exif\0\0" + EXIF + encoded("JPEG", size=(16, 16))),
            *[(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000))] * 50,
            (0xED, b"Photoshop 3.0\0" + bytes(1000)),
            (0xFE, b"a comment"),
        ]
    )
    assert_read(tmp_path / "a.jpg", data[:2] + extras + data[2:], np.rot90(pillow(data), -1))


@pytest.mark.parametrize("orientation", [1, 6])
def test_pictures_of_a_hundred_million_pixels_and_more(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("L", (12000, 9000), 200).save(tmp_path / "a.jpg", exif=exif)
    width = 64 if orientation == 1 else 48
    picture = read_picture(tmp_path / "a.jpg", width=width)
    assert picture.shape == ((1125, 1500, 3) if orientation == 1 else (1500, 1125, 3))  # an eighth
    np.testing.assert_allclose(picture, 200 / 255, rtol=0, atol=1e-6)
    assert read_scaled(str(tmp_path / "a.jpg"), width, "white").shape[1] == width
    assert read_resized(str(tmp_path / "a.jpg"), 20, 30, "white").shape == (20, 30, 3)
    for needed in (None, 9000):
        with pytest.raises(InputError, match=r"at most 100000000 pixels, got .* with 12000 x 9000"):
            read_picture(tmp_path / "a.jpg", width=needed)


@pytest.mark.parametrize("depth", [8, 16])
def test_large_pictures_are_averaged(tmp_path, monkeypatch, depth):
    monkeypatch.setattr("jaxstyle.pictures.image_files.EXACT_PIXELS", 1000)
    samples = random_bytes(61, 90, 3, dtype=np.uint16 if depth == 16 else np.uint8)
    (tmp_path / "a.png").write_bytes(png_file(samples))
    picture = read_picture(tmp_path / "a.png", width=6)
    whole = samples / np.iinfo(samples.dtype).max
    # scikit-image pads with zeros where squares are cut off: only whole ones are compared, and the last by hand.
    expected = downscale_local_mean(whole, (5, 5, 1))
    assert picture.shape == (13, 18, 3)
    np.testing.assert_allclose(picture[:12], expected[:12], rtol=0, atol=1e-6)
    np.testing.assert_allclose(picture[12, 0], whole[60, :5].mean(axis=0), rtol=0, atol=1e-6)
    assert read_picture(tmp_path / "a.png", width=16).shape == (61, 90, 3)  # not three times as wide if halved


@pytest.mark.parametrize("pixels", [7, 100, 1000])
def test_blocks_join(tmp_path, monkeypatch, pixels):
    """What is read in small blocks is what is read at once, turned or not."""
    monkeypatch.setattr("jaxstyle.pictures.image_files._BLOCK_PIXELS", pixels)
    samples = random_bytes(13, 29, 4)
    data = png_file(samples)
    expected = samples[..., :3] / 255 * (samples[..., 3:] / 255) + 1 - samples[..., 3:] / 255
    for orientation, turn in ((1, lambda a: a), (6, lambda a: np.rot90(a, -1)), (8, np.rot90)):
        exif = EXIF[:-7] + bytes([orientation]) + EXIF[-6:]
        assert_read(tmp_path / "a.png", data[:33] + png_chunk(b"eXIf", exif) + data[33:], turn(expected))


FOREIGN = {
    "a HEIC picture; convert it to JPEG, for example with heif-convert (install libheif-examples)": (
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    ),
    "a JPEG 2000 picture": b"\0\0\0\x0cjP  \r\n\x87\n",
    "a JPEG XL picture": b"\xff\x0a\0\0",
    "a Photoshop document": b"8BPS\0\1",
    "an SVG drawing": b'<?xml version="1.0"?>\n<svg xmlns="x">',
    "a web page": b"<!DOCTYPE html><html>",
    "a PDF document": b"%PDF-1.7",
    "a video": b"\0\0\0\x20ftypisom",
    "an icon (ICO)": b"\0\0\1\0\1\0",
    "a Netpbm picture (PPM, PGM, PBM)": b"P6\n1 1\n255\n",
    "a ZIP archive": b"PK\3\4",
    "a text": b"hello, world\n",
    "a file of another kind": bytes(range(128, 256)),
}


@pytest.mark.parametrize("found", FOREIGN)
def test_other_files_are_named(tmp_path, found):
    (tmp_path / "a.png").write_bytes(FOREIGN[found] + (bytes(50) if FOREIGN[found][-1:] != b"\n" else b""))
    with pytest.raises(InputError, match=f"^expected a PNG, .* or BMP picture, got '.*a.png', {re.escape(found)}"):
        read_picture(tmp_path / "a.png")


def test_pillow_s_limit_is_left_as_it_was(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "a.png").write_bytes(flat_png(4, 4))
    read_picture(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError):
        read_picture(tmp_path / "a.png")
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_picture_that_does_not_fit_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(flat_png(4, 4))

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(image_decoding, "_decode", fail)
    with pytest.raises(InputError, match="expected a picture that fits into memory"):
        read_picture(tmp_path / "a.png")
