"""Writes `weights_keras.zip`: small VGG-16s as Keras 3 writes them, and what Keras computes with them.

Run with Keras and a backend installed: KERAS_BACKEND=torch python tests/references/generate_keras_weights.py (made with
3.15; the package never needs it).

The zip holds `model.h5`, `model.keras`, and `nested.weights.h5`, of a model that has the VGG for a layer; and
`expected.npz`: a picture in 0..255 (height, width, RGB), its features after conv1_2 with Keras's own preprocessing of
VGG-16, and `<layer>.kernel`, `<layer>.bias` as Keras has them.
"""

import io
import tempfile
import zipfile
from pathlib import Path

import keras
import numpy as np
from keras import layers

HERE = Path(__file__).parent
BLOCKS = ((2, 2), (2, 3), (3, 4), (3, 3), (3, 2))


def make_model() -> keras.Model:
    """Returns a VGG-16 of a few channels, named as `keras.applications.VGG16` names its layers."""
    inputs = outputs = layers.Input((32, 32, 3))
    for block, (count, width) in enumerate(BLOCKS, start=1):
        for index in range(1, count + 1):
            name = f"block{block}_conv{index}"
            convolution = layers.Conv2D(
                width, 3, padding="same", activation="relu", bias_initializer="random_normal", name=name
            )
            outputs = convolution(outputs)
        outputs = layers.MaxPooling2D(2, name=f"block{block}_pool")(outputs)
    return keras.Model(inputs, outputs, name="vgg16")


def main() -> None:
    """Writes the file."""
    keras.utils.set_random_seed(20)
    model = make_model()
    inputs = layers.Input((32, 32, 3))
    nested = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(model(inputs))))
    picture = np.random.default_rng(20).integers(0, 256, (32, 32, 3)).astype(np.float32)
    features = keras.Model(model.input, model.get_layer("block1_conv2").output)
    preprocessed = keras.applications.vgg16.preprocess_input(picture[None].copy(), data_format="channels_last")
    expected = {"picture": picture, "features": np.asarray(features.predict(preprocessed))[0]}
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            name = f"conv{layer.name[5]}_{layer.name[-1]}"
            expected |= {f"{name}.kernel": kernel, f"{name}.bias": bias}
    stream = io.BytesIO()
    np.savez_compressed(stream, **expected)
    with (
        tempfile.TemporaryDirectory() as folder,
        zipfile.ZipFile(HERE / "weights_keras.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
    ):
        archive.writestr("expected.npz", stream.getvalue())
        model.save(f"{folder}/model.h5")
        model.save(f"{folder}/model.keras")
        nested.save_weights(f"{folder}/nested.weights.h5")
        for path in sorted(Path(folder).iterdir()):
            archive.write(path, path.name)


if __name__ == "__main__":
    main()
