"""The many ways in which one and the same VGG is kept, against files and features that PyTorch and Keras made."""

import zipfile

import h5py
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxstyle.checks import InputError
from jaxstyle.vgg.weights import load_network
from tests.vgg.test_formats import (
    KERAS_NAMES,
    REFERENCES,
    TINY,
    assert_same_params,
    bgr,
    make_params,
    numbered_tensors,
    our_features,
    write_keras,
)
from tests.vgg.test_formats import readers_alone as readers_alone


@pytest.fixture(scope="module")
def torch_expected():
    with np.load(REFERENCES / "weights_expected.npz") as ours, np.load(REFERENCES / "weights_variants.npz") as variants:
        return {**ours, **variants}


@pytest.fixture
def keras_files(tmp_path):
    with zipfile.ZipFile(REFERENCES / "weights_keras.zip") as archive:
        archive.extractall(tmp_path)
    with np.load(tmp_path / "expected.npz") as file:
        return tmp_path, dict(file)


# Keras 3


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "nested.weights.h5"])
def test_keras_3(keras_files, name):
    folder, expected = keras_files
    network = load_network(folder / name, architectures=TINY)
    assert (network.format, network.architecture) == ("Keras HDF5", "vgg16")
    for layer in network.params.keys() - {"mean"}:
        kernel = expected[f"{layer}.kernel"]
        np.testing.assert_array_equal(network.params[layer]["kernel"], bgr(kernel) if layer == "conv1_1" else kernel)
        np.testing.assert_array_equal(network.params[layer]["bias"], expected[f"{layer}.bias"])
    features = our_features(network.params, expected["picture"] / 255)
    np.testing.assert_allclose(features, expected["features"], rtol=1e-4, atol=1e-2)
    assert expected["features"].max() > 10


def test_weights_within_the_keras_zip(keras_files):
    folder, _ = keras_files
    with zipfile.ZipFile(folder / "model.keras") as archive:
        (folder / "inner.h5").write_bytes(archive.read("model.weights.h5"))
    whole = load_network(folder / "model.keras", architectures=TINY)
    assert load_network(folder / "inner.h5", architectures=TINY).checksum == whole.checksum


@pytest.mark.parametrize(
    "names",
    [
        ("model_weights/vgg16/{0}/kernel", "model_weights/vgg16/{0}/bias"),
        ("{0}/vgg/{0}/kernel:0", "{0}/vgg/{0}/bias:0"),
        ("{0}/{0}_W", "{0}/{0}_b"),
    ],
)
def test_names_of_keras(tmp_path, monkeypatch, names):
    params = make_params("vgg16")
    monkeypatch.setitem(KERAS_NAMES, "other", names)
    write_keras(tmp_path / "weights.h5", params, "other", change=None)
    assert_same_params(load_network(tmp_path / "weights.h5", architectures=TINY).params, params)


def renumber(file, names):
    """Gives the layers of a file by `write_keras` the names that Keras gives its layers by themselves."""
    layers = sorted(name for name in file if name.startswith("block"))
    for index, layer in enumerate(layers):
        path = names.format(f"_{index}" if index else "")
        for number, kind in enumerate("Wb"):
            file[f"{path}/vars/{number}"] = file[f"{layer}/{layer}_{kind}_1:0"][()]
        del file[layer]
    del file["fc1"]


@pytest.mark.parametrize("names", ["_layer_checkpoint_dependencies/conv2d{0}", "a/layers/conv2d{0}"])
def test_keras_layers_without_names(tmp_path, names):
    params = make_params("vgg19")
    write_keras(tmp_path / "weights.h5", params, change=lambda file: renumber(file, names))
    assert_same_params(load_network(tmp_path / "weights.h5", architectures=TINY).params, params)
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        del file[names.format("_3")]
    with pytest.raises(InputError, match="13 or 16 convolutions, got 15 below"):
        load_network(tmp_path / "weights.h5", architectures=TINY)


def test_two_networks_in_a_keras_file(tmp_path):
    write_keras(tmp_path / "weights.h5", make_params())
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        for name in list(file):
            file.copy(name, f"other/{name}")
    with pytest.raises(InputError, match="one VGG in the file, got 2, below '', 'other/'"):
        load_network(tmp_path / "weights.h5", architectures=TINY)


@pytest.mark.parametrize(
    "place",
    [
        "optimizer_weights/Adam/m/{}/kernel:0",
        "optimizer_weights/SGD/momentum/{}/bias:0",
        "optimizer_weights/{}/kernel",
        "optimizer/adam/{}/kernel",
    ],
)
@pytest.mark.parametrize("names", ["official", "model"])
def test_moments_of_a_keras_optimizer_are_left_out(tmp_path, names, place):
    params = make_params()
    write_keras(tmp_path / "weights.h5", params, names)
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        for name in params.keys() - {"mean"}:
            file[place.format(f"block{name[4]}_conv{name[6]}")] = np.full(2, np.nan, np.float32)
    assert_same_params(load_network(tmp_path / "weights.h5", architectures=TINY).params, params)


def test_groups_within_each_other_are_gone_into_once(tmp_path):
    params = make_params()
    write_keras(tmp_path / "weights.h5", params)
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        file["block1_conv1/again"] = file["/"]
    assert_same_params(load_network(tmp_path / "weights.h5", architectures=TINY).params, params)


# PyTorch


def as_torch(params):
    """Our parameters by PyTorch's names, `conv1_1.weight`."""
    arrays = {}
    for name in params.keys() - {"mean"}:
        arrays[f"{name}.weight"] = np.ascontiguousarray(params[name]["kernel"].transpose(3, 2, 0, 1))
        arrays[f"{name}.bias"] = params[name]["bias"]
    return arrays


def test_batch_normalization(torch_expected):
    network = load_network(REFERENCES / "weights_normalized.pth", architectures=TINY)
    features = our_features(network.params, torch_expected["picture"])
    np.testing.assert_allclose(features, torch_expected["normalized"], rtol=1e-4, atol=1e-4)
    assert torch_expected["normalized"].max() > 1


def test_adain(torch_expected):
    network = load_network(REFERENCES / "weights_adain.pth", architectures=TINY)
    np.testing.assert_allclose(network.params["mean"], [123.68, 116.779, 103.939], rtol=1e-6)
    features = our_features(network.params, torch_expected["picture"])
    # Padding by reflection is theirs alone: two convolutions see it two pixels deep.
    inside = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(features[inside], torch_expected["adain"][inside], rtol=1e-4, atol=1e-2)
    assert np.abs(features - torch_expected["adain"]).max() > 1
    assert "reflection" in network.source
    caffe = load_network(REFERENCES / "weights_named_zip.pth", architectures=TINY)
    np.testing.assert_allclose(network.params["conv1_1"]["kernel"], caffe.params["conv1_1"]["kernel"], rtol=1e-6)


def test_a_training_checkpoint_in_half_precision(torch_expected):
    # {"epoch": ..., "state_dict": {"module.features.0.weight": <bfloat16>, ...}, "optimizer": ...}
    network = load_network(REFERENCES / "weights_checkpoint.pth", architectures=TINY)
    expected = torch_expected["conv2_1.weight"].astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(network.params["conv2_1"]["kernel"], expected.transpose(2, 3, 1, 0))


def test_a_whole_model_is_refused_with_advice():
    with pytest.raises(InputError, match=r"needs 'torch\.nn\.modules\.container\.Sequential'.* its model\.state_dict"):
        load_network(REFERENCES / "weights_model.pth", architectures=TINY)


@pytest.mark.parametrize("prefix", ["module.", "vgg.", "backbone.", "encoder.", "model.vgg.", "state_dict.module.net."])
@pytest.mark.parametrize("kind", ["named", "features.", ""])
def test_prefixes(tmp_path, prefix, kind):
    params = make_params("vgg16")
    tensors = as_torch(params) if kind == "named" else numbered_tensors(params, "vgg16")
    save_file(tensors, tmp_path / "plain")
    plain = load_network(tmp_path / "plain", architectures=TINY)
    others = {"decoder.0.weight": np.ones((2, 2, 3, 3), "f4"), "head.weight": np.ones((2, 2), "f4")}
    renamed = {f"{prefix}{name.replace('features.', kind)}": tensor for name, tensor in tensors.items()}
    save_file({**renamed, **others}, tmp_path / "prefixed")
    assert load_network(tmp_path / "prefixed", architectures=TINY).checksum == plain.checksum


def test_slices_go_on_counting(tmp_path):
    tensors = numbered_tensors(make_params("vgg16"), "vgg16")
    save_file(tensors, tmp_path / "plain")
    sliced = {}
    for name, tensor in tensors.items():
        _, index, kind = name.split(".")
        sliced[f"net.slice{1 + int(index) // 7}.{index}.{kind}"] = tensor
    save_file(sliced, tmp_path / "sliced")
    one, other = (load_network(tmp_path / name, architectures=TINY) for name in ("plain", "sliced"))
    assert one.checksum == other.checksum


def test_bfloat16_safetensors(tmp_path):
    params = make_params("vgg16")
    half = {name: array.astype(ml_dtypes.bfloat16) for name, array in as_torch(params).items()}
    save_file(half, tmp_path / "half")
    network = load_network(tmp_path / "half", architectures=TINY)
    expected = params["conv3_1"]["kernel"].astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(network.params["conv3_1"]["kernel"], expected)


def normalized_tensors(params):
    tensors = {}
    for name, array in as_torch(params).items():
        if name.endswith("weight"):
            layer = int(name[4]) * 10 + int(name[6])
            tensors[f"{layer * 3}.weight"] = array
            outputs = len(array)
            tensors[f"{layer * 3 + 1}.running_mean"] = np.linspace(0, 1, outputs).astype("f4")
            tensors[f"{layer * 3 + 1}.running_var"] = np.linspace(1, 2, outputs).astype("f4")
    return tensors


def test_normalization_without_biases_and_scales(tmp_path):
    params = make_params("vgg16")
    tensors = normalized_tensors(params)
    save_file(tensors, tmp_path / "weights")
    network = load_network(tmp_path / "weights", architectures=TINY)
    scale = 1 / np.sqrt(np.linspace(1, 2, 4) + 1e-5)
    np.testing.assert_allclose(network.params["conv3_2"]["kernel"], params["conv3_2"]["kernel"] * scale, rtol=1e-6)
    np.testing.assert_allclose(network.params["conv3_2"]["bias"], -np.linspace(0, 1, 4) * scale, rtol=1e-6)
    for name, value, message in [
        ("34.running_var", -np.ones(2, "f4"), "at least 0"),
        ("34.running_var", np.ones(5, "f4"), r"running_var of conv1_1's normalization, got \[5\]"),
        ("34.weight", np.full(2, np.inf, "f4"), "finite"),
    ]:
        save_file({**tensors, name: value}, tmp_path / "weights")
        with pytest.raises(InputError, match=message):
            load_network(tmp_path / "weights", architectures=TINY)


def drop_nothing(tensors):
    return tensors


def move_normalizations(tensors):
    """Puts each normalization behind the ReLU of its convolution."""
    moved = {}
    for name, tensor in tensors.items():
        number, kind = name.split(".")
        moved[f"{int(number) + int(number) % 3}.{kind}"] = tensor
    return moved


def name_normalizations(bn):
    def rename(tensors):
        renamed = {}
        for name, tensor in tensors.items():
            number, kind = name.split(".")
            layer = f"{int(number) // 30}_{int(number) // 3 % 10}"
            renamed[f"{bn.format(layer) if int(number) % 3 else f'conv{layer}'}.{kind}"] = tensor
        biases = {f"{name[:-7]}.bias": tensor[:, 0, 0, 0] for name, tensor in renamed.items() if name[-6:] == "weight"}
        return {**biases, **renamed}

    return rename


def cut_slices(tensors):
    return {f"net.slice{int(name[0]) % 4}.{name}": tensor for name, tensor in move_normalizations(tensors).items()}


def lose_statistics(tensors):
    """Keeps a scale in place of the statistics, as a normalization by groups has it."""
    return {
        name.replace("running_mean", "weight"): tensor
        for name, tensor in move_normalizations(tensors).items()
        if not name.endswith("running_var")
    }


def normalize_the_picture(tensors):
    return {**tensors, "1.running_mean": np.ones(3, "f4"), "1.running_var": np.ones(3, "f4")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (name_normalizations("bn{}"), r"got 'bn1_1\.running_mean' \[2\]"),
        (name_normalizations("block.norm{}"), r"got 'block\.norm1_1\.running_mean'"),
        (move_normalizations, r"got '\d+\.running_mean' \[\d\]"),
        (cut_slices, r"got 'net\.slice\d\.\d+\.running_mean'"),
        (lose_statistics, r"got '\d+\.weight' \[\d\]"),
        (normalize_the_picture, r"got '1\.running_mean' \[3\]"),
    ],
)
def test_a_normalization_that_is_not_right_behind_its_convolution_is_refused(tmp_path, change, message):
    tensors = normalized_tensors(make_params("vgg16"))
    save_file(change(tensors), tmp_path / "weights")
    with pytest.raises(InputError, match=message):
        load_network(tmp_path / "weights", architectures=TINY)


def test_normalizations_of_other_networks_and_classifiers_are_none_of_ours(tmp_path):
    tensors = {f"vgg.{name}": tensor for name, tensor in as_torch(make_params("vgg16")).items()}
    save_file(tensors, tmp_path / "plain")
    others = {f"{name}.running_mean": np.ones(2, "f4") for name in ("decoder.1", "vgg.classifier.1", "vgg.fc6.1")}
    save_file({**tensors, **others}, tmp_path / "weights")
    plain, other = (load_network(tmp_path / name, architectures=TINY) for name in ("plain", "weights"))
    assert plain.checksum == other.checksum


def test_a_change_of_colors_that_loses_some_is_refused(tmp_path):
    tensors = normalized_tensors(make_params("vgg16"))
    save_file({**tensors, "0.weight": np.ones((3, 3, 1, 1), "f4")}, tmp_path / "weights")
    with pytest.raises(InputError, match="keeps them apart"):
        load_network(tmp_path / "weights", architectures=TINY)


def test_two_networks_in_a_state_dictionary(tmp_path):
    tensors = as_torch(make_params("vgg16"))
    both = {f"{prefix}.{name}": tensor for prefix in ("params", "params_ema") for name, tensor in tensors.items()}
    save_file(both, tmp_path / "weights")
    with pytest.raises(InputError, match=r"one VGG in the file, got 2, below 'params.*'; save one of them alone"):
        load_network(tmp_path / "weights", architectures=TINY)


# Messages say what was found


def test_other_networks_are_described(tmp_path):
    ones = np.ones((4, 3, 3, 3), "f4")
    biases = {f"layer2.{index}.bn1.bias": ones[0] for index in range(9)}
    resnet = {"conv1.weight": ones, "layer1.0.conv1.weight": ones, **biases}
    save_file(resnet, tmp_path / "resnet")
    np.savez(tmp_path / "other.npz", first=ones)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dense/dense/kernel:0"] = ones
        file["x" * 500 + "\x1b[31m"] = ones
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    for name, message in [
        ("resnet", r"got 'conv1\.weight' \[4, 3, 3, 3\], 'layer1\.0\.conv1\.weight' \[4, 3, 3, 3\].* and 7 more"),
        ("other.npz", r"got 'first\.npy'"),
        ("other.h5", r"got 'dense/dense/kernel:0' \[4, 3, 3, 3\], 'x{40}"),
        ("other.zip", "which is none"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            load_network(tmp_path / name, architectures=TINY)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600


def test_a_vgg_of_another_depth_is_described(tmp_path):
    tensors = numbered_tensors(make_params("vgg16"), "vgg16")
    save_file(
        {name: tensor for name, tensor in tensors.items() if not name.startswith("features.2")}, tmp_path / "short"
    )
    with pytest.raises(InputError, match=r"features\.2\.weight \(conv1_2\) in a vgg16, got 'features\.0\.weight'"):
        load_network(tmp_path / "short", architectures=TINY)
    tensors = normalized_tensors(make_params("vgg16"))
    start = {name: tensor for name, tensor in tensors.items() if int(name.split(".")[0]) < 90}
    save_file({**start, "0.weight": np.ones((3, 3, 1, 1), "f4")}, tmp_path / "start")
    with pytest.raises(InputError, match=r"13 or 16 convolutions, got 4: '33\.weight'"):
        load_network(tmp_path / "start", architectures=TINY)


def test_a_bias_without_its_kernel(tmp_path):
    tensors = as_torch(make_params("vgg16"))
    del tensors["conv3_2.weight"]
    save_file(tensors, tmp_path / "weights")
    with pytest.raises(InputError, match="without conv3_2"):
        load_network(tmp_path / "weights", architectures=TINY)


def test_the_format_of_each(keras_files):
    folder, _ = keras_files
    for path, name in [
        (folder / "model.h5", "Keras HDF5"),
        (folder / "model.keras", "Keras HDF5"),
        (REFERENCES / "weights_adain.pth", "PyTorch"),
    ]:
        assert load_network(path, architectures=TINY).format == name


def test_a_damaged_zip_may_be_of_any_format(tmp_path, keras_files):
    folder, _ = keras_files
    np.savez(tmp_path / "net.npz", mean=np.zeros(3))
    for path in (REFERENCES / "weights_adain.pth", tmp_path / "net.npz", folder / "model.keras"):
        cut = tmp_path / f"cut{path.suffix}"
        cut.write_bytes(path.read_bytes()[:-40])
        expected = rf"a readable zip archive \(\.pth, \.npz or \.keras\), got {cut.name}, damaged"
        with pytest.raises(InputError, match=expected):
            load_network(cut, architectures=TINY)
