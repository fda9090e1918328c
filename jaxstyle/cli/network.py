"""The flags of the network that looks at the pictures, shared by every command that has one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxstyle.checks import check_choice
from jaxstyle.cli.display import phase

if TYPE_CHECKING:
    from jaxstyle.vgg.weights import Network

#: JAX's names for what --matmul-precision takes.
MATMUL_PRECISIONS = {"highest": "highest", "tf32": "tensorfloat32"}


@dataclass(kw_only=True)
class NetworkFlags:
    """The network and how it computes.

    Attributes:
        network: VGG-16 or VGG-19, in any format that `jaxstyle weights` reads. Default: the VGG-19 that ships.
        pooling: How the network makes pictures smaller.
        matte: Behind transparent pixels: a name or #rrggbb.
        dtype: Type of the features; all else is float32.
        memory: low is a third slower and needs a fraction of the memory.
        matmul_precision: On GPU and TPU: tf32 is faster and keeps 10 bits.
    """

    network: str | None = None
    pooling: str = "max"
    matte: str = "white"
    dtype: str = "float32"
    memory: str = "normal"
    matmul_precision: str = "highest"

    def check(self) -> None:
        """Raises `InputError` for what can be known to be wrong before any file is read."""
        from jaxstyle.pictures.image_files import parse_color

        parse_color(self.matte)
        check_choice("--pooling", self.pooling, ("max", "avg"))
        check_choice("--dtype", self.dtype, ("float32", "bfloat16"))
        check_choice("--memory", self.memory, ("normal", "low"))
        check_choice("--matmul-precision", self.matmul_precision, MATMUL_PRECISIONS)

    def load_network(self, layers: Iterable[str]) -> "Network":
        """Returns the network to use and checks that it has `layers`."""
        from jaxstyle.memory_limits import check_process_limits

        check_process_limits()

        from jaxstyle.vgg import module as vgg
        from jaxstyle.vgg.weights import load_network

        phase("reading the network")
        network = load_network(self.network)
        vgg.check_layers(network.params, layers)
        return network


def describe(network: "Network") -> str:
    """Returns the line that names a network and its checksum."""
    kind = "" if network.name == network.architecture else f" ({network.architecture})"
    return f"network: {network.name}{kind}, sha256 {network.checksum}"
