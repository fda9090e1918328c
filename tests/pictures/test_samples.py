"""The sample pictures: what they are called, how large they come, and the command that lists and writes them."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tyro
from PIL import Image

import jaxstyle.pictures
from jaxstyle.checks import InputError
from jaxstyle.cli.commands.samples import Samples
from jaxstyle.pictures.samples import SAMPLES, is_sample, load_sample

CONTENTS = [name for name, sample in SAMPLES.items() if sample.kind == "content"]
STYLES = [name for name, sample in SAMPLES.items() if sample.kind == "style"]
FILES = sorted(Path(jaxstyle.pictures.__file__).parent.glob("samples/*.jpg"))

#: The first digits of the files' SHA-256, and the mean color in 0..255. A change makes other pictures of every command
#: that names a style.
EXPECTED = {
    "autumn": ("2fc168cc3185daec", (119.3, 84.5, 69.2)),
    "garden": ("07b0f2ba6925370f", (138.3, 149.3, 147.2)),
    "mosaic": ("e38be046d1e77b48", (107.3, 91.9, 103.9)),
    "swirl": ("58fb54cc41223923", (64.5, 91.2, 124.2)),
    "waves": ("f4da5286dba18197", (169.9, 168.7, 164.6)),
}


def test_table():
    assert CONTENTS == ["astronaut", "chelsea", "coffee", "rocket"]
    assert STYLES == [path.stem for path in FILES] == list(EXPECTED)
    for name, sample in SAMPLES.items():
        assert sample.name == name
        assert "\n" not in sample.description


@pytest.mark.parametrize("name", CONTENTS)
def test_contents_are_scikit_images_own(name):
    from skimage import data

    own = getattr(data, name)()
    picture = load_sample(name)
    assert picture.dtype == np.float32
    assert picture.shape == (*SAMPLES[name].size, 3)
    np.testing.assert_array_equal(np.rint(picture * 255).astype(np.uint8), own)
    np.testing.assert_array_equal(load_sample(name, height=20, width=30), picture)


def test_contents_need_neither_network_nor_home(tmp_path):
    program = (
        "import socket\n"
        "def refuse(*args): raise OSError('the network was asked for')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from jaxstyle.pictures.samples import load_sample\n"
        f"print([load_sample(name).shape for name in {CONTENTS}])\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*"))


def test_styles_load_nothing_heavy():
    program = (
        "import sys, jaxstyle.cli.commands.samples; from jaxstyle.pictures.samples import load_sample; "
        "load_sample('swirl', width=64); print([name in sys.modules for name in ('skimage', 'scipy', 'jax')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False, False]"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_style_files(path: Path):
    checksum, color = EXPECTED[path.stem]
    data = path.read_bytes()
    assert len(data) <= 250_000
    assert hashlib.sha256(data).hexdigest().startswith(checksum)
    stored = np.asarray(Image.open(path))
    assert stored.shape == (683, 1024, 3)
    np.testing.assert_allclose(stored.mean(axis=(0, 1)), color, atol=0.5)
    picture = load_sample(path.stem, width=1024)
    assert picture.dtype == np.float32
    np.testing.assert_array_equal(np.rint(picture * 255), stored)


def test_styles_come_at_the_size_asked_for():
    for sides, shape in (
        ({}, (512, 768)),
        ({"width": 48}, (32, 48)),
        ({"height": 32}, (32, 48)),
        ({"width": 1}, (1, 1)),
        ({"height": 40, "width": 50}, (40, 50)),
        ({"width": 1500}, (1000, 1500)),
    ):
        picture = load_sample("mosaic", **sides)
        assert picture.shape == (*shape, 3)
        assert 0 <= picture.min() <= picture.max() <= 1


def test_sizes_show_the_same_picture():
    small = load_sample("waves", width=96)
    for factor in (8, 16):
        large = load_sample("waves", width=96 * factor)
        means = large.reshape(64, factor, 96, factor, 3).mean(axis=(1, 3))
        assert np.abs(means - small).mean() < 0.02


def test_another_shape_crops_around_the_center():
    square = load_sample("swirl", height=512, width=512)
    middle = load_sample("swirl", height=512, width=768)[:, 128:-128]
    assert np.abs(square - middle).mean() < 0.02


def test_prefix_is_optional():
    assert is_sample("sample:mosaic")
    assert not is_sample("mosaic")
    assert not is_sample("pictures/sample:mosaic")
    np.testing.assert_array_equal(load_sample("sample:mosaic", width=24), load_sample("mosaic", width=24))


def test_unknown_name_and_bad_sizes_are_refused():
    with pytest.raises(InputError, match="did you mean 'swirl'"):
        load_sample("sample:swril")
    with pytest.raises(InputError, match="a width above 0"):
        load_sample("mosaic", width=0)
    with pytest.raises(InputError, match="at most 8192"):
        load_sample("mosaic", width=100_000)


def test_command_lists(capsys):
    assert tyro.cli(Samples, args=[]).run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(SAMPLES)
    assert lines[0].split()[1:3] == ["content", "512x512"]
    assert all(SAMPLES[line.split()[0]].description in line for line in lines)


def test_command_writes_and_does_not_overwrite(tmp_path, capsys):
    from jaxstyle.pictures.image_files import read_picture

    path = tmp_path / "window.png"
    command = tyro.cli(Samples, args=["sample:mosaic", "--output", str(path), "--width", "48"])
    assert command.run() == 0
    assert "48x32" in capsys.readouterr().out
    np.testing.assert_allclose(read_picture(path), load_sample("mosaic", width=48), atol=0.5 / 255 + 1e-6)
    with pytest.raises((InputError, OSError)):
        command.run()
    command.overwrite = True
    assert command.run() == 0


def test_command_refuses_what_makes_no_sense(tmp_path):
    path = str(tmp_path / "cat.png")
    with pytest.raises(InputError, match="--output"):
        Samples(sample="mosaic").run()
    with pytest.raises(InputError, match="name of a sample"):
        Samples(output=path).run()
    with pytest.raises(InputError, match="keeps its size"):
        Samples(sample="chelsea", output=path, width=100).run()
    with pytest.raises(InputError, match="did you mean 'chelsea'"):
        Samples(sample="chelsae", output=path).run()
    assert not list(tmp_path.iterdir())
