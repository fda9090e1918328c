"""Files that were made to read outside their bytes, to hang, or to fill the memory: each is refused, and soon."""

import pickle
import struct
import zipfile
from pathlib import Path

import pytest

from jaxstyle.formats import torch_pickle
from jaxstyle.formats.layout import ARCHITECTURES, layer_channels
from tests.hostile import read_in_child

# Pickles, written by hand


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def numbers(values) -> bytes:
    return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x01tQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
ORDERED = b"ccollections\nOrderedDict\n)R"


def tensor(shape, strides) -> bytes:
    """Instructions that push a tensor over the one number of `STORAGE`."""
    return REBUILD + b"(" + STORAGE + b"K\x00" + numbers(shape) + numbers(strides) + b"\x89}tR"


def contiguous(shape) -> tuple[int, ...]:
    strides = [1]
    for size in shape[:0:-1]:
        strides.insert(0, strides[0] * size)
    return tuple(strides)


def vgg19(build) -> bytes:
    """A VGG-19 whose tensors all see one number, each followed by `build(shape)`."""
    program = b"\x80\x02}"
    for name, (inputs, outputs) in layer_channels(ARCHITECTURES["vgg19"]).items():
        for kind, shape in (("weight", (outputs, inputs, 3, 3)), ("bias", (outputs,))):
            program += text(f"{name}.{kind}") + tensor(shape, (0,) * len(shape)) + build(shape) + b"s"
    return program + b"."


def nested(levels: int) -> bytes:
    """A tuple that holds the same tuple twice, and so on: to hash, compare or print it takes 2**levels steps."""
    return b")q\x00" + b"h\x00h\x00\x86q\x00" * levels


def far_strides(shape) -> tuple[int, ...]:
    return (2**40, *contiguous(shape)[1:])


def state(shape, strides) -> bytes:
    """Instructions that push the values of a tensor's slots, as a slotted dataclass takes them, and set them."""
    return b"](" + STORAGE + b"K\x00" + numbers(shape) + numbers(strides) + b"eb"


def many(value: bytes) -> bytes:
    return b"".join(text(str(index)) + value for index in range(5000))


PICKLES = {
    # The first two read 1 TiB beyond the storage: a segmentation fault in version 0.1.
    "slots of a tensor": vgg19(lambda shape: state(shape, far_strides(shape))),
    "slots by name": vgg19(lambda shape: b"N}" + text("strides") + numbers(far_strides(shape)) + b"s\x86b"),
    "heap": vgg19(lambda shape: state(shape, contiguous(shape))),
    "state of a storage": b"\x80\x02}" + text("a") + STORAGE + b"](" + text("0") + b"K\x00eb" + b"s.",
    "state of a function": b"\x80\x02" + REBUILD + b"}" + text("__code__") + b"Nsb.",
    "state of a dictionary": b"\x80\x02}}" + text("get") + b"Nsb.",
    "state of a number": b"\x80\x02K\x01}b.",
    "call of a number": b"\x80\x02K\x01)R.",
    "call of a tensor": b"\x80\x02" + tensor((1,), (1,)) + b")R.",
    "call without a tuple": b"\x80\x02" + REBUILD + b"]R.",
    "call with too little": b"\x80\x02" + REBUILD + b")R.",
    "key of tuples": b"\x80\x02}" + nested(60) + b"Ns.",
    "keys of tuples, at once": b"\x80\x02}(" + nested(60) + b"Nu.",
    "keys of tuples, by DICT": b"\x80\x02(" + nested(60) + b"Nd.",
    "pairs of tuples": b"\x80\x02ccollections\nOrderedDict\n(](" + nested(60) + b"N\x86etR.",
    "storage named by tuples": b"\x80\x02(" + text("storage") + b"ctorch\nFloatStorage\n" + nested(60) + b"NK\x01tQ.",
    "storage of tuples": b"\x80\x02" + nested(60) + b"Q.",
    "shape of tuples": b"\x80\x02" + REBUILD + b"(" + STORAGE + b"K\x00" + nested(60) + nested(60) + b"tR.",
    "global named by tuples": b"\x80\x02" + nested(60) + nested(60) + b"\x93.",
    "a tuple for a network": b"\x80\x02" + nested(60) + b".",
    "deep tuples": b"\x80\x02)" + b"\x85" * 900_000 + b".",
    "deep lists": b"\x80\x02" + b"]" * 400_000 + b"a" * 399_999 + b".",
    "marks": b"\x80\x02" + b"(" * 900_000 + b".",
    "dictionary in itself": b"\x80\x02}q\x00" + text("state_dict") + b"h\x00s.",
    "dictionaries in each other": b"\x80\x02}q\x00}q\x01(" + many(b"h\x00") + text("1") + b"h\x01u.",
    "a long name": b"\x80\x02}(" + text("x" * 500_000) + b"q\x00" + tensor((1,), (1,)) + b"u.",
    "an escape in a name": b"\x80\x02}(" + text("\x1b]0;gotcha\x07conv1_1.weight") + tensor((1,), (1,)) + b"u.",
    "an escape in a global": b"\x80\x02c\x1b[31mos\nsystem\n.",
    "a stack that is empty": b"\x80\x02s.",
    "a memo that is not there": b"\x80\x02h\x07.",
    "no mark": b"\x80\x02t.",
    "nothing to return": b"\x80\x02.",
}  # fmt: skip


def write_zip(path: Path, program: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/data/0", bytes(4))
    return path


def write_legacy(path: Path, program: bytes, keys: bytes | None = None) -> Path:
    head = [pickle.dumps(value, protocol=2) for value in (torch_pickle._LEGACY_MAGIC, 1001, {"little_endian": True})]
    keys = pickle.dumps(["0"], protocol=2) if keys is None else keys
    path.write_bytes(b"".join([*head, program, keys, struct.pack("<q", 1), bytes(4)]))
    return path


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_pickles(tmp_path, write):
    outcomes = read_in_child(write(tmp_path / name, program) for name, program in PICKLES.items())
    assert {name: text for name, text in outcomes.items() if "expected" not in text} == {}


def test_storage_keys_of_a_legacy_file_are_texts(tmp_path):
    keys = b"\x80\x02](" + nested(60) + b"e."
    program = b"\x80\x02}" + text("a") + tensor((1,), (1,)) + b"s."
    (outcome,) = read_in_child([write_legacy(tmp_path / "weights.pth", program, keys)]).values()
    assert "key for every storage" in outcome


def test_the_state_of_an_ordered_dict_is_ignored(tmp_path):
    # torch sets `_metadata` there; a file may set anything, such as a `get` that hides the dictionary's.
    program = (
        b"\x80\x02" + ORDERED + text("a") + tensor((1,), (1,)) + b"s}" + text("get") + b"Ns" + text("items") + b"Nsb."
    )
    with write_zip(tmp_path / "weights.pth", program).open("rb") as stream:
        tensors = torch_pickle.read_tensors(stream)
        assert list(tensors) == ["a"]
        assert tensors["a"].read().tolist() == [0]
