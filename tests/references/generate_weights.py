"""Writes the small PyTorch files `weights_*.pth` and what PyTorch computes with them, `weights_expected.npz`.

Run with PyTorch installed: python tests/references/generate_weights.py (made with 2.13; the package never needs it).

The networks are VGGs of a few channels. `weights_expected.npz` holds, as PyTorch has them, `<layer>.weight` (OIHW) and
`<layer>.bias`; a picture in [0, 1] (height, width, RGB); and its features after conv1_2's ReLU (channels last),
`torchvision` with torchvision's normalization, `caffe` with BGR in 0..255 minus the mean. `weights_variants.npz` holds
the features of the variants: `normalized`, with batch normalization in evaluation mode, and `adain`, by AdaIN's
program: a change of colors, then padding by reflection before every convolution.
"""

from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
BLOCKS = ((2, 2), (2, 3), (3, 4), (3, 3), (3, 2))


def make_layers(generator: torch.Generator) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Returns random kernels (OIHW) and biases by layer."""
    layers, channels = {}, 3
    for block, (count, width) in enumerate(BLOCKS, start=1):
        for convolution in range(1, count + 1):
            weight = torch.randn(width, channels, 3, 3, generator=generator)
            layers[f"conv{block}_{convolution}"] = (weight, torch.randn(width, generator=generator))
            channels = width
    return layers


def make_features(layers, classifier) -> dict[str, torch.Tensor]:
    """Returns the state dictionary of an nn.Sequential `features`, as torchvision builds it, and a `classifier`."""
    modules, names = [], iter(layers)
    for count, _ in BLOCKS:
        for _ in range(count):
            weight, bias = layers[next(names)]
            convolution = torch.nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
            convolution.weight.data, convolution.bias.data = weight, bias
            modules += [convolution, torch.nn.ReLU()]
        modules.append(torch.nn.MaxPool2d(2))
    model = torch.nn.ModuleDict({"features": torch.nn.Sequential(*modules), "classifier": classifier})
    return model.state_dict()


def two_layers(inputs: torch.Tensor, layers) -> np.ndarray:
    """Returns the features after the second ReLU of a CHW input, as HWC."""
    for name in ("conv1_1", "conv1_2"):
        weight, bias = layers[name]
        inputs = torch.relu(torch.nn.functional.conv2d(inputs[None], weight, bias, padding=1))[0]
    return inputs.permute(1, 2, 0).numpy()


def make_variants(layers, picture: torch.Tensor, generator: torch.Generator) -> None:
    """Writes a network with batch normalization, one of AdaIN's kind, a training checkpoint and a whole model."""
    random = lambda count: torch.rand(count, generator=generator) + 0.5
    normalized, colored = [], [torch.nn.Conv2d(3, 3, 1)]
    colored[0].weight.data = 255 * torch.eye(3).flip(0)[:, :, None, None]
    colored[0].bias.data = -torch.tensor([103.939, 116.779, 123.68])
    names = iter(layers)
    for count, width in BLOCKS:
        for _ in range(count):
            weight, bias = layers[next(names)]
            first, second = torch.nn.Conv2d(weight.shape[1], width, 3, padding=1), torch.nn.Conv2d(1, 1, 3)
            for convolution in (first, second):
                convolution.weight.data, convolution.bias.data = weight, bias
            normalization = torch.nn.BatchNorm2d(width)
            for tensor in (normalization.weight.data, normalization.running_mean, normalization.running_var):
                tensor.copy_(random(width))
            normalization.bias.data.copy_(random(width))
            normalized += [first, normalization, torch.nn.ReLU()]
            colored += [torch.nn.ReflectionPad2d(1), second, torch.nn.ReLU()]
        normalized.append(torch.nn.MaxPool2d(2))
        colored.append(torch.nn.MaxPool2d(2, ceil_mode=True))
    normalized, colored = torch.nn.Sequential(*normalized).eval(), torch.nn.Sequential(*colored)
    state = torch.nn.ModuleDict({"features": normalized}).state_dict()
    torch.save(state, HERE / "weights_normalized.pth", _use_new_zipfile_serialization=False)  # the smaller format
    torch.save(colored.state_dict(), HERE / "weights_adain.pth")
    half = {name: tensor.bfloat16() for name, tensor in make_features(layers, torch.nn.Linear(2, 3)).items()}
    optimizer = torch.optim.Adam(torch.nn.Linear(2, 3).parameters())
    checkpoint = {"epoch": 3, "best": 0.5, "state_dict": {f"module.{name}": half[name] for name in half}}
    torch.save({**checkpoint, "optimizer": optimizer.state_dict()}, HERE / "weights_checkpoint.pth")
    torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3)), HERE / "weights_model.pth")
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        features = {
            "normalized": normalized[:6](((picture - mean) / deviation).permute(2, 0, 1)[None]),
            "adain": colored[:7](picture.permute(2, 0, 1)[None]),
        }
    features = {name: value[0].permute(1, 2, 0).numpy() for name, value in features.items()}
    np.savez_compressed(HERE / "weights_variants.npz", **features)


def main() -> None:
    """Writes all files."""
    torch.manual_seed(20)  # for the classifier; the legacy format still names storages by address, so its bytes vary
    generator = torch.Generator().manual_seed(20)
    layers = make_layers(generator)
    picture = torch.rand(7, 6, 3, generator=generator)
    chw = picture.permute(2, 0, 1)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    bgr_mean = torch.tensor([103.939, 116.779, 123.68])
    numbered = make_features(layers, torch.nn.Linear(2, 3))
    named = {f"{name}.{kind}": pair[i] for name, pair in layers.items() for i, kind in enumerate(("weight", "bias"))}
    torch.save(numbered, HERE / "weights_features_zip.pth")
    torch.save(numbered, HERE / "weights_features_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(named, HERE / "weights_named_zip.pth")
    # Tensors that share a storage, and one that is not contiguous, are legitimate as well.
    flat = torch.cat([tensor.flatten() for tensor in named.values()])
    views, start = {}, 0
    for name, tensor in named.items():
        views[name] = torch.nn.Parameter(flat[start : start + tensor.numel()].view(tensor.shape))
        start += tensor.numel()
    weight = named["conv1_2.weight"]
    views["conv1_2.weight"] = weight.to(memory_format=torch.channels_last)
    torch.save(views, HERE / "weights_named_legacy.pth", _use_new_zipfile_serialization=False)
    np.savez_compressed(
        HERE / "weights_expected.npz",
        picture=picture.numpy(),
        torchvision=two_layers((chw - mean[:, None, None]) / deviation[:, None, None], layers),
        caffe=two_layers(255 * chw.flip(0) - bgr_mean[:, None, None], layers),
        **{name: tensor.numpy() for name, tensor in named.items()},
    )
    make_variants(layers, picture, generator)


if __name__ == "__main__":
    main()
