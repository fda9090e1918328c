"""The sample pictures: what they are called, how large they come, and the command that lists and writes them."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tyro

from jaxstyle import paintings
from jaxstyle.checks import InputError
from jaxstyle.cli.commands.samples import Samples
from jaxstyle.pictures.samples import SAMPLES, is_sample, load_sample

CONTENTS = [name for name, sample in SAMPLES.items() if sample.kind == "content"]
STYLES = [name for name, sample in SAMPLES.items() if sample.kind == "style"]


def test_table():
    assert CONTENTS == ["astronaut", "chelsea", "coffee", "rocket"]
    assert sorted(f"paint_{name}" for name in STYLES) == sorted(paintings.__all__)
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


def test_importing_is_light():
    program = (
        "import sys, jaxstyle.pictures.samples, jaxstyle.cli.commands.samples; "
        "print('skimage' in sys.modules, 'scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_styles_come_at_the_size_asked_for():
    np.testing.assert_array_equal(load_sample("mosaic", height=40, width=50), paintings.paint_mosaic(40, 50))
    assert load_sample("mosaic", width=48).shape == (32, 48, 3)
    assert load_sample("mosaic", height=32).shape == (32, 48, 3)
    assert load_sample("mosaic").shape == (512, 768, 3)


def test_prefix_is_optional():
    assert is_sample("sample:mosaic")
    assert not is_sample("mosaic")
    assert not is_sample("pictures/sample:mosaic")
    np.testing.assert_array_equal(load_sample("sample:mosaic", width=24), load_sample("mosaic", width=24))


def test_unknown_name_and_bad_sizes_are_refused():
    with pytest.raises(InputError, match="did you mean 'swirl'"):
        load_sample("sample:swril")
    with pytest.raises(InputError, match="at least 16x16"):
        load_sample("mosaic", width=12)
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
