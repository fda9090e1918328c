"""Every format in its own layout: the same parameters and the same features come out; what is bad is refused."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.signal
from jax import lax
from safetensors.numpy import save_file

from jaxstyle.checks import InputError
from jaxstyle.vgg import weights as pretrained
from jaxstyle.vgg.formats import layout, native, registry, torch_folding, torch_names, torch_pickle
from jaxstyle.vgg.formats.layout import IMAGENET_MEAN, layer_channels
from jaxstyle.vgg.weights import load_network

REFERENCES = Path(__file__).parents[1] / "references"
TINY = {
    "vgg16": ((2, 2), (2, 3), (3, 4), (3, 3), (3, 2)),
    "vgg19": ((2, 2), (2, 3), (4, 4), (4, 3), (4, 2)),
}


@pytest.fixture(autouse=True)
def readers_alone(monkeypatch):
    """Reads in this process: the readers are tested here, and tests/vgg/test_isolation.py has the other half."""
    monkeypatch.setattr(pretrained, "read_isolated", registry.read_network)


MEAN = np.array(IMAGENET_MEAN, np.float32)


def make_params(architecture="vgg19", seed=3):
    """Random parameters in our convention."""
    random = np.random.default_rng(seed)
    params = {"mean": MEAN}
    for name, (inputs, outputs) in layer_channels(TINY[architecture]).items():
        kernel = random.normal(size=(3, 3, inputs, outputs)).astype(np.float32)
        params[name] = {"kernel": kernel, "bias": random.normal(size=outputs).astype(np.float32)}
    return params


def our_features(params, picture):
    """ReLU of conv1_2 in our convention, by lax, for a picture in [0, 1]."""
    x = (255 * picture - params["mean"])[None]
    for name in ("conv1_1", "conv1_2"):
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = np.maximum(np.asarray(x) + bias, 0)
    return x[0]


def foreign_features(layers, x):
    """The same in Caffe's convention, by SciPy: `x` is CHW, `layers` are two pairs of kernel OIHW and bias."""
    for kernel, bias in layers:
        planes = [
            sum(scipy.signal.correlate2d(plane, k, mode="same") for plane, k in zip(x, kernels, strict=True)) + b
            for kernels, b in zip(kernel, bias, strict=True)
        ]
        x = np.maximum(np.stack(planes), 0)
    return x.transpose(1, 2, 0)


def assert_same_params(params, expected):
    assert params.keys() == expected.keys()
    np.testing.assert_array_equal(params["mean"], expected["mean"])
    for name in expected.keys() - {"mean"}:
        np.testing.assert_array_equal(params[name]["kernel"], expected[name]["kernel"])
        np.testing.assert_array_equal(params[name]["bias"], expected[name]["bias"])
        assert params[name]["kernel"].dtype == params[name]["bias"].dtype == np.float32
        assert params[name]["kernel"].flags["C_CONTIGUOUS"]


def picture():
    return np.random.default_rng(1).random((6, 7, 3)).astype(np.float32)


def bgr(kernel):
    return kernel[:, :, ::-1] if kernel.shape[2] == 3 else kernel


def oihw(kernel):
    return kernel.transpose(3, 2, 0, 1)


# Keras

KERAS_NAMES = {
    "official": ("{0}/{0}_W_1:0", "{0}/{0}_b_1:0"),
    "flat": ("{0}/kernel:0", "{0}/bias:0"),
    "nested": ("{0}/{0}/kernel:0", "{0}/{0}/bias:0"),
    "model": ("model_weights/{0}/{0}/kernel:0", "model_weights/{0}/{0}/bias:0"),
}


def write_keras(path, params, names="official", *, change=None):
    kernel_name, bias_name = KERAS_NAMES[names]
    with h5py.File(path, "w") as file:
        groups = file.require_group("model_weights") if names == "model" else file
        layers = []
        for name, layer in params.items():
            if name == "mean":
                continue
            group = f"block{name[4]}_conv{name[6]}"
            layers.append(group.encode())
            kernel = bgr(layer["kernel"]) if name == "conv1_1" else layer["kernel"]
            file[kernel_name.format(group)] = kernel
            file[bias_name.format(group)] = layer["bias"]
            groups.require_group(group).attrs["weight_names"] = [f"{group}_W_1:0".encode(), f"{group}_b_1:0".encode()]
        groups.attrs["layer_names"] = layers
        groups["fc1/fc1_W_1:0"] = np.full((4, 4), np.nan, np.float32)  # would be refused if it were read
        if change:
            change(groups)


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
@pytest.mark.parametrize("names", KERAS_NAMES)
def test_keras(tmp_path, names, architecture):
    params = make_params(architecture)
    write_keras(tmp_path / "weights", params, names)
    network = load_network(tmp_path / "weights", architectures=TINY)
    assert (network.format, network.architecture) == ("Keras HDF5", architecture)
    assert_same_params(network.params, params)


def test_keras_features_are_those_of_bgr_input(tmp_path):
    params = make_params()
    write_keras(tmp_path / "weights.h5", params)
    with h5py.File(tmp_path / "weights.h5") as file:
        stored = [
            (oihw(file[f"{name}/{name}_W_1:0"][()]), file[f"{name}/{name}_b_1:0"][()])
            for name in ("block1_conv1", "block1_conv2")
        ]
    inputs = (255 * picture()[:, :, ::-1] - np.array([103.939, 116.779, 123.68])).transpose(2, 0, 1)
    expected = foreign_features(stored, inputs)
    ours = our_features(load_network(tmp_path / "weights.h5", architectures=TINY).params, picture())
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-2)
    assert expected.max() > 100


def replace(name, value):
    def change(group):
        del group[name]
        if value is not None:
            group[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace("block3_conv4", None), "conv3_4|conv4_4"),
        (replace("block1_conv2/block1_conv2_b_1:0", None), "bias.*conv1_2"),
        (replace("block1_conv2/block1_conv2_W_1:0", np.ones((3, 3, 2, 9), "f4")), r"conv1_2.*\[3, 3, 2, 9\]"),
        (replace("block1_conv2/block1_conv2_W_1:0", np.ones((3, 3, 2, 2), "i4")), "conv1_2.*int32"),
        (replace("block2_conv1/block2_conv1_b_1:0", np.array([0, np.nan, 0], "f4")), "conv2_1.*NaN"),
        (replace("block2_conv1/block2_conv1_b_1:0", np.array([0, 1e300, 0], "f8")), "conv2_1.*infinity"),
        (replace("block1_conv1/block1_conv1_W_1:0", h5py.ExternalLink("other.h5", "/k")), "external link"),
        (replace("block1_conv1/block1_conv1_W_1:0", h5py.SoftLink("/block1_conv2")), "soft link"),
        (replace("block1_conv1", h5py.ExternalLink("other.h5", "/k")), "external link"),
        (lambda group: group.create_group("block6_conv1").create_dataset("kernel:0", data=np.ones(1)), "conv6_1"),
    ],
)
def test_keras_refusals(tmp_path, change, message):
    write_keras(tmp_path / "weights.h5", make_params(), change=change)
    with pytest.raises(InputError, match=message):
        load_network(tmp_path / "weights.h5", architectures=TINY)


def test_hdf5_declaring_a_huge_dataset_is_refused_before_it_is_read(tmp_path):
    def change(group):
        del group["block1_conv2/block1_conv2_W_1:0"]
        group.create_dataset("block1_conv2/block1_conv2_W_1:0", (2**20, 2**20), "f4", chunks=(1024, 1024))

    write_keras(tmp_path / "weights.h5", make_params(), change=change)
    assert (tmp_path / "weights.h5").stat().st_size < 200_000
    with pytest.raises(InputError, match="at most"):
        load_network(tmp_path / "weights.h5", architectures=TINY)


def test_hdf5_data_outside_the_file_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(8))

    def change(group):
        del group["block1_conv1/block1_conv1_b_1:0"]
        external = [(str(tmp_path / "secret"), 0, 8)]
        group.create_dataset("block1_conv1/block1_conv1_b_1:0", (2,), "f4", external=external)

    write_keras(tmp_path / "weights.h5", make_params(), change=change)
    with pytest.raises(InputError, match="external data"):
        load_network(tmp_path / "weights.h5", architectures=TINY)


def test_hdf5_with_a_plugin_filter_is_refused(tmp_path):
    def change(group):
        del group["block1_conv2/block1_conv2_W_1:0"]
        data = np.ones((3, 3, 2, 2), "f4")
        group.create_dataset("block1_conv2/block1_conv2_W_1:0", data=data, compression="lzf")

    write_keras(tmp_path / "weights.h5", make_params(), change=change)
    with pytest.raises(InputError, match="filter"):
        load_network(tmp_path / "weights.h5", architectures=TINY)


def test_unknown_hdf5_is_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["something"] = 1
    with pytest.raises(InputError, match=r"other\.h5: expected the convolutions of .*, got 'something' \[\]; use"):
        load_network(tmp_path / "other.h5")


# MatConvNet


def struct_of(**fields):
    """A 1x1 MATLAB struct."""
    array = np.empty((1, 1), [(name, object) for name in fields])
    for name, value in fields.items():
        array[name][0, 0] = value
    return array


def cell_of(values):
    cells = np.empty((1, len(values)), object)
    for index, value in enumerate(values):
        cells[0, index] = value
    return cells


def make_mat(params, kind, *, change=None):
    layers = []
    for name, layer in params.items():
        if name == "mean":
            continue
        kernel, bias = layer["kernel"], layer["bias"][None, :]
        change_this = change if name == "conv1_2" else None
        if change_this:
            kernel = change_this(kernel)
        if kind == "filters":
            layers.append(struct_of(name=name, type="conv", filters=kernel, biases=bias, stride=1.0))
        else:
            layers.append(struct_of(weights=cell_of([kernel, bias]), pad=1.0, type="conv", name=name))
        layers.append(struct_of(type="relu", name=name.replace("conv", "relu")))
    layers.append(struct_of(name="fc6", type="conv", weights=cell_of([np.full((7, 7, 2, 1), np.nan, "f4"), 0.0])))
    color = np.array([120.0, 110.0, 100.0])
    if kind == "meta":
        image = color.reshape(1, 1, 3).astype(np.float32)
        normalization = struct_of(imageSize=np.array([[224.0, 224.0, 3.0]]), averageImage=image)
        return {"layers": cell_of(layers), "meta": struct_of(inputs="data", normalization=normalization)}
    wave = np.array([-1.0, 1.0, 0.0, 0.0])[:, None, None]
    image = (color + wave + wave.transpose(1, 0, 2)).astype(np.float32)
    normalization = struct_of(averageImage=image, keepAspect=1.0)
    return {"layers": cell_of(layers), "classes": struct_of(name="x"), "normalization": normalization}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["weights", "filters", "meta"])
def test_matconvnet(tmp_path, kind, compressed):
    params = {**make_params(), "mean": np.array([120, 110, 100], np.float32)}
    scipy.io.savemat(tmp_path / "net", make_mat(params, kind), do_compression=compressed, appendmat=False)
    network = load_network(tmp_path / "net", architectures=TINY)
    assert network.format == "MatConvNet MAT"
    assert_same_params(network.params, params)


def test_matconvnet_features_are_those_of_rgb_input(tmp_path):
    scipy.io.savemat(tmp_path / "net.mat", make_mat(make_params(), "meta"))
    cells = scipy.io.loadmat(tmp_path / "net.mat")["layers"]
    stored = [cells[0, index]["weights"][0, 0] for index in (0, 2)]
    inputs = (255 * picture() - np.array([120, 110, 100])).transpose(2, 0, 1)
    expected = foreign_features([(oihw(pair[0, 0]), pair[0, 1].ravel()) for pair in stored], inputs)
    ours = our_features(load_network(tmp_path / "net.mat", architectures=TINY).params, picture())
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda kernel: kernel[:, :2], r"conv1_2.*\[3, 2, 2, 2\]"),
        (lambda kernel: kernel * np.float32(np.nan), "conv1_2.*NaN"),
        (lambda kernel: kernel.astype(np.int32), "conv1_2.*int32"),
        (lambda kernel: "text", "conv1_2"),
    ],
)
def test_matconvnet_refusals(tmp_path, change, message):
    scipy.io.savemat(tmp_path / "net.mat", make_mat(make_params(), "weights", change=change))
    with pytest.raises(InputError, match=message):
        load_network(tmp_path / "net.mat", architectures=TINY)


def test_matconvnet_without_layers_or_mean_is_refused(tmp_path):
    for found in ({"other": 1.0}, {"other": 1.0, "layers": "none"}):
        scipy.io.savemat(tmp_path / "net.mat", found)
        with pytest.raises(InputError, match=r"convolutions of one of .* named layers, got 'other'"):
            load_network(tmp_path / "net.mat", architectures=TINY)
    variables = make_mat(make_params(), "weights")
    del variables["normalization"]
    scipy.io.savemat(tmp_path / "net.mat", variables)
    with pytest.raises(InputError, match="a mean under"):
        load_network(tmp_path / "net.mat", architectures=TINY)


def test_matlab_7_3_is_refused_by_name(tmp_path):
    with h5py.File(tmp_path / "net.mat", "w", userblock_size=512) as file:
        file["layers"] = 1
    with (tmp_path / "net.mat").open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    with pytest.raises(InputError, match=r"7\.3.*-v7"):
        load_network(tmp_path / "net.mat")


def test_matlab_bomb_is_refused_by_its_unpacked_size(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxstyle.vgg.formats.matfile.MAX_BYTES", 2**21)
    monkeypatch.setattr(layout, "MAX_BYTES", 2**21)
    variables = {**make_mat(make_params(), "weights"), "zeros": np.zeros(2**20)}
    scipy.io.savemat(tmp_path / "net.mat", variables, do_compression=True)
    assert (tmp_path / "net.mat").stat().st_size < 2**17
    with pytest.raises(InputError, match="unpacked"):
        load_network(tmp_path / "net.mat", architectures=TINY)


# PyTorch, against files and features that PyTorch itself made (references/generate_weights.py)


@pytest.fixture(scope="module")
def torch_expected():
    with np.load(REFERENCES / "weights_expected.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", ["weights_named_zip.pth", "weights_named_legacy.pth"])
def test_caffe_pth(torch_expected, name):
    network = load_network(REFERENCES / name, architectures=TINY)
    assert network.architecture == "vgg16"
    for layer, params in network.params.items():
        if layer == "mean":
            np.testing.assert_array_equal(params, MEAN)
            continue
        kernel = torch_expected[f"{layer}.weight"].transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(params["kernel"], bgr(kernel) if layer == "conv1_1" else kernel)
        np.testing.assert_array_equal(params["bias"], torch_expected[f"{layer}.bias"])
    ours = our_features(network.params, torch_expected["picture"])
    np.testing.assert_allclose(ours, torch_expected["caffe"], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("name", ["weights_features_zip.pth", "weights_features_legacy.pth"])
def test_torchvision_pth(torch_expected, name):
    network = load_network(REFERENCES / name, architectures=TINY)
    assert network.format == "PyTorch"
    kernel = torch_expected["conv1_1.weight"].transpose(2, 3, 1, 0) / (255 * np.array([0.229, 0.224, 0.225]))[:, None]
    np.testing.assert_allclose(network.params["conv1_1"]["kernel"], kernel, rtol=1e-6)
    np.testing.assert_allclose(network.params["mean"], [123.675, 116.28, 103.53], rtol=1e-6)
    for layer in network.params.keys() - {"mean", "conv1_1"}:
        kernel = torch_expected[f"{layer}.weight"].transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(network.params[layer]["kernel"], kernel)
        np.testing.assert_array_equal(network.params[layer]["bias"], torch_expected[f"{layer}.bias"])
    ours = our_features(network.params, torch_expected["picture"])
    np.testing.assert_allclose(ours, torch_expected["torchvision"], rtol=1e-4, atol=1e-4)


def numbered_tensors(params, architecture):
    """A torchvision state dictionary, OIHW, of parameters in our convention."""
    tensors = {"classifier.0.weight": np.full((2, 2), np.nan, np.float32)}
    index, block = 0, "1"
    for name in layer_channels(TINY[architecture]):
        if name[4] != block:
            index, block = index + 1, name[4]
        tensors[f"features.{index}.weight"] = np.ascontiguousarray(oihw(params[name]["kernel"]))
        tensors[f"features.{index}.bias"] = params[name]["bias"]
        index += 2
    return tensors


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
def test_original_weights_under_torchvision_names_are_told_by_value(tmp_path, architecture):
    params = make_params(architecture)
    params["conv1_1"]["kernel"][0, 0, :, 0] = torch_folding.ORIGINAL_CORNER[architecture][::-1]  # ours is RGB
    tensors = numbered_tensors(params, architecture)
    tensors["features.0.weight"] = np.ascontiguousarray(tensors["features.0.weight"][:, ::-1])
    save_file(tensors, tmp_path / "weights.safetensors")
    assert_same_params(load_network(tmp_path / "weights.safetensors", architectures=TINY).params, params)


def test_torchvision_numbers():
    numbers = torch_names._feature_places(layout.ARCHITECTURES["vgg19"])
    assert list(numbers) == [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert list(torch_names._feature_places(layout.ARCHITECTURES["vgg16"])) == [
        0,
        2,
        5,
        7,
        10,
        12,
        14,
        17,
        19,
        21,
        24,
        26,
        28,
    ]


def test_torch_refusals_of_other_networks(tmp_path):
    tensors = numbered_tensors(make_params(), "vgg19")
    path = tmp_path / "weights.safetensors"
    save_file({**tensors, "features.1.running_mean": np.ones(2, "f4")}, path)
    with pytest.raises(InputError, match="running_var with conv1_1's normalization"):
        load_network(path, architectures=TINY)
    del tensors["features.34.weight"]
    save_file(tensors, path)
    with pytest.raises(InputError, match=r"features\.34\.weight \(conv5_4\)"):
        load_network(path, architectures=TINY)


class Evil:
    """Pickles to a call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def torch_zip(program, members=()):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        for name, data in members:
            archive.writestr(f"archive/{name}", data)
    return stream.getvalue()


def torch_legacy(program):
    head = [pickle.dumps(value, protocol=2) for value in (torch_pickle._LEGACY_MAGIC, 1001, {"little_endian": True})]
    return b"".join([*head, program, pickle.dumps([], protocol=2)])


@pytest.mark.parametrize("wrap", [torch_zip, torch_legacy])
@pytest.mark.parametrize(
    ("function", "message"), [(print, "builtin.*print"), (eval, "eval"), (OrderedDict.fromkeys, "getattr")]
)
def test_pickle_with_another_global_is_refused_and_not_run(tmp_path, capsys, wrap, function, message):
    program = pickle.dumps({"conv1_1.weight": Evil(function, "1")}, protocol=2)
    (tmp_path / "weights.pth").write_bytes(wrap(program))
    with pytest.raises(InputError, match=message):
        load_network(tmp_path / "weights.pth", architectures=TINY)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b"\x80\x02}r\xff\xff\xff\x7f.", "no arrays"),
        (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "eval"),
        (b"(i__builtin__\neval\n.", "INST"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02]q\x00.", "state dictionary"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "damaged"),
        (b"\x80\x02}", "damaged"),
        (b"", "damaged"),
    ],
)
def test_hostile_and_broken_pickles_are_refused(tmp_path, program, message):
    for wrap in (torch_zip, torch_legacy):
        (tmp_path / "weights.pth").write_bytes(wrap(program))
        with pytest.raises(InputError, match=message):
            load_network(tmp_path / "weights.pth", architectures=TINY)


def tensor_program(count, shape, strides, kind="FloatStorage"):
    """The pickle of {"conv1_1.weight": a tensor}, written by hand."""

    def numbers(values):
        return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"

    text = b"X\x07\x00\x00\x00storage"
    storage = b"(" + text + b"ctorch\n" + kind.encode() + b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
    storage += b"\x8a\x08" + struct.pack("<q", count) + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + numbers(shape) + numbers(strides)
    return b"\x80\x02}X\x0e\x00\x00\x00conv1_1.weight" + tensor + b"\x89}tRs."


@pytest.mark.parametrize(
    ("count", "shape", "strides", "kind", "message"),
    [
        (54, (2, 3, 3, 3), (27, 9, 3, 2), "FloatStorage", "within its 54 numbers"),
        (54, (2, 3, 3, 3), (27, 9, 3, -1), "FloatStorage", "tensors over storages"),
        (2**40, (2, 3, 3, 3), (27, 9, 3, 1), "FloatStorage", "bytes for storage"),
        (54, (2, 3, 3, 3), (27, 9, 3, 1), "QInt8Storage", r"torch\.QInt8Storage"),
        (54, (2, 3, 3, 3), (27, 9, 3, 1), "FloatStorage", "damaged"),
    ],
)
def test_declared_sizes_in_pickles_are_checked(count, shape, strides, kind, message):
    data = torch_zip(tensor_program(count, shape, strides, kind), [("data/0", bytes(100))])
    with pytest.raises(InputError, match=message):
        torch_pickle.read_tensors(io.BytesIO(data))["conv1_1.weight"].read()


def test_hand_written_pickle_reads_as_its_storage():
    numbers = np.arange(54, dtype="<f4")
    data = torch_zip(tensor_program(54, (2, 3, 3, 3), (27, 9, 3, 1)), [("data/0", numbers.tobytes())])
    tensor = torch_pickle.read_tensors(io.BytesIO(data))["conv1_1.weight"]
    np.testing.assert_array_equal(tensor.read(), numbers.reshape(2, 3, 3, 3))


# npz and safetensors with our names


def flat_arrays(params, separator):
    layers = (name for name in params if name != "mean")
    arrays = {f"{name}{separator}{kind}": value for name in layers for kind, value in params[name].items()}
    return {"mean": params["mean"], **arrays}


@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save, separator):
    params = make_params("vgg16")
    arrays = flat_arrays(params, separator)
    save(tmp_path / "weights.npz", fc6=np.array([object()]), **arrays)  # what is not asked for is not looked at
    network = load_network(tmp_path / "weights.npz", architectures=TINY)
    assert network.format == "NumPy archive"
    assert_same_params(network.params, params)


def test_npz_with_objects_is_refused_and_not_unpickled(tmp_path, capsys):
    arrays = flat_arrays(make_params(), "/")
    arrays["conv1_1/bias"] = np.array([Evil(print, "run"), 1], object)
    np.savez(tmp_path / "weights.npz", **arrays)
    with pytest.raises(InputError, match="Python objects"):
        load_network(tmp_path / "weights.npz", architectures=TINY)
    assert capsys.readouterr().out == ""


def test_npz_with_a_huge_declared_shape_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**40,)})
    with zipfile.ZipFile(tmp_path / "weights.npz", "w") as archive:
        archive.writestr("conv1_1/bias.npy", header.getvalue() + bytes(16))
    with pytest.raises(InputError, match="declares"):
        load_network(tmp_path / "weights.npz", architectures=TINY)


def test_npz_bomb_is_refused_by_its_declared_size(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "MAX_BYTES", 2**20)
    np.savez_compressed(tmp_path / "weights.npz", mean=np.zeros(2**20))
    with pytest.raises(InputError, match="at most"):
        load_network(tmp_path / "weights.npz", architectures=TINY)


def test_safetensors(tmp_path):
    params = make_params("vgg16")
    save_file(flat_arrays(params, "."), tmp_path / "weights")
    network = load_network(tmp_path / "weights", architectures=TINY)
    assert network.format == "safetensors"
    assert_same_params(network.params, params)


def test_safetensors_with_torchvision_names(tmp_path):
    params = make_params()
    save_file(numbered_tensors(params, "vgg19"), tmp_path / "weights")
    network = load_network(tmp_path / "weights", architectures=TINY)
    normalized = (picture() - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    stored = [(oihw(params[name]["kernel"]), params[name]["bias"]) for name in ("conv1_1", "conv1_2")]
    expected = foreign_features(stored, normalized.transpose(2, 0, 1))
    np.testing.assert_allclose(our_features(network.params, picture()), expected, rtol=1e-4, atol=1e-4)


def test_safetensors_refusals(tmp_path):
    arrays = flat_arrays(make_params(), ".")
    path = tmp_path / "weights.safetensors"
    save_file({name: array for name, array in arrays.items() if name != "mean"}, path)
    with pytest.raises(InputError, match="mean"):
        load_network(path, architectures=TINY)
    save_file({**arrays, "conv1_1.bias": np.ones(2, np.int64)}, path)
    with pytest.raises(InputError, match=r"conv1_1.*int64"):
        load_network(path, architectures=TINY)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match="damaged"):
        load_network(path, architectures=TINY)


# Damage of every kind to every format


def write_every_format(folder):
    params = make_params("vgg16")
    write_keras(folder / "keras.h5", params)
    attributes = {
        "architecture": "vgg16",
        "checksum": native.content_checksum(params),
        "name": "tiny",
        "source": "here",
    }
    native.write(folder / "ours.h5", params, attributes)
    scipy.io.savemat(folder / "plain.mat", make_mat(params, "meta"))
    scipy.io.savemat(folder / "packed.mat", make_mat(params, "weights"), do_compression=True)
    np.savez(folder / "plain.npz", **flat_arrays(params, "/"))
    np.savez_compressed(folder / "packed.npz", **flat_arrays(params, "/"))
    save_file(flat_arrays(params, "."), folder / "ours.safetensors")
    for path in set(REFERENCES.glob("weights_*.pth")) - {REFERENCES / "weights_model.pth"}:
        (folder / path.name).write_bytes(path.read_bytes())
    with zipfile.ZipFile(REFERENCES / "weights_keras.zip") as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name != "expected.npz"])
    return sorted(folder.iterdir())


def test_truncated_files_are_refused(tmp_path):
    for path in write_every_format(tmp_path):
        data = path.read_bytes()
        load_network(path, architectures=TINY)
        for fraction in (0.02, 0.3, 0.6, 0.9):
            path.write_bytes(data[: int(fraction * len(data))])
            with pytest.raises(InputError, match=path.name):
                load_network(path, architectures=TINY)
