"""The combinations of a grid, what they share, and which of them share a run or a program."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, NamedTuple

from jaxstyle.checks import InputError
from jaxstyle.cli.commands.stylize import Stylize
from jaxstyle.cli.pictures import load_network, read_resized, read_scaled, resize_to
from jaxstyle.cli.runs.stylize import Pictures, check_sizes, config_of, problem_maker, read_pictures
from jaxstyle.optimize.configured import configured_optimizer
from jaxstyle.optimize.optimizers import OPTIMIZERS, real_options
from jaxstyle.optimize.programs import ProgramCache, value_key
from jaxstyle.problems.problem import Problem
from jaxstyle.problems.style_transfer import with_weights
from jaxstyle.types import NetworkParams
from jaxstyle.vgg import module as vgg
from jaxstyle.vgg.convolution import choose_method
from jaxstyle.vgg.weights import Network

#: How many runs' targets, and how many forms of a network, are kept.
MOST_TARGETS, MOST_NETWORKS = 8, 2


class Point(NamedTuple):
    """A combination of the grid's values.

    Attributes:
        number: From 1.
        values: Value on each axis, by flag.
        labels: Label on each axis, by flag.
        flags: The flags that `stylize` would have.
    """

    number: int
    values: Mapping[str, Any]
    labels: Mapping[str, str]
    flags: Stylize


@contextmanager
def naming(labels: Mapping[str, str]) -> Iterator[None]:
    """Adds the combination with these labels to an `InputError` that is raised within."""
    try:
        yield
    except InputError as error:
        if labels:
            error.args = (f"{error} (in the combination {', '.join(labels.values())})",)
        raise


class Shared:
    """What combinations share, read and computed once: pictures, networks, targets."""

    def __init__(self) -> None:
        self._read = cache(read_scaled), cache(read_resized)
        self._networks: dict[str | None, Network] = {}
        self._layers: dict[str | None, dict[str, None]] = {}
        self._frozen, self._problems = ProgramCache(MOST_NETWORKS), ProgramCache(MOST_TARGETS)

    def check(self, flags: Stylize) -> None:
        """Raises for all that can be known to be wrong before the work starts, files and sizes included."""
        flags.check()
        configured_optimizer(flags.optimization)
        self.network(flags)
        check_sizes(flags, self.pictures(flags))

    def pictures(self, flags: Stylize) -> Pictures:
        """Returns the pictures of a combination."""
        return read_pictures(flags, *self._read)

    def size(self, flags: Stylize) -> tuple[int, int]:
        """Returns the height and the width of a combination's result."""
        height, width, _ = self.pictures(flags).content.shape
        return height, width

    def network(self, flags: Stylize) -> Network:
        """Returns the network of a combination, after a check that it has the layers, which `problem` keeps."""
        path, layers = flags.network, flags.used_layers()
        if path not in self._networks:
            self._networks[path] = load_network(path, ())
        vgg.check_layers(self._networks[path].params, layers)
        self._layers.setdefault(path, {}).update(dict.fromkeys(layers))
        return self._networks[path]

    def targets_key(self, flags: Stylize, height: int, width: int) -> Hashable:
        """Returns a key that is equal for combinations whose problems at a size have the same targets and functions."""
        pictures = self.pictures(flags)  # these very arrays: each is read once, and kept
        read = tuple(map(id, (pictures.content, *pictures.styles[width])))
        return read, flags.network, flags.weighed_objective().program_key(), height, width

    def problem(self, flags: Stylize, height: int, width: int) -> Problem:
        """Returns the problem of a combination at a size; targets that an earlier one had are used again."""
        network, pictures = self._freeze(flags, height * width), self.pictures(flags)
        make = partial(problem_maker(flags, network, pictures), height, width)
        problem = self._problems.get(self.targets_key(flags, height, width), make)
        is_given = pictures.initial is not None
        start = resize_to(pictures.initial if is_given else pictures.content, height, width)  # type: ignore[arg-type]
        return with_weights(problem, config_of(flags), mean=network["mean"], start=start, is_given=is_given)

    def _freeze(self, flags: Stylize, pixels: int) -> NetworkParams:
        """Returns the network in the form that is the fastest for pictures of so many pixels."""
        path, dtype = flags.network, flags.objective.dtype
        params, layers = self._networks[path].params, tuple(self._layers[path])
        kernels = [layer["kernel"].shape for name, layer in params.items() if name != "mean"]
        methods = tuple(choose_method(i, o, pixels=pixels, dtype=dtype) for _, _, i, o in kernels)
        make = partial(vgg.freeze, params, layers=layers, pixels=pixels, dtype=dtype)
        return self._frozen.get((path, dtype, methods), make)


class Run(NamedTuple):
    """One minimization.

    Attributes:
        points: The combinations that it serves, by iterations: but for the last, pictures taken on the way.
        label: For people.
    """

    points: list[Point]
    label: str

    @property
    def flags(self) -> Stylize:
        """The flags to run with: those of the combination with the most iterations."""
        return self.points[-1].flags


def fold(points: Sequence[Point]) -> list[Run]:
    """Returns the runs: combinations that differ in --iterations only are one, unless they go through several sizes."""
    folded: dict[Hashable, list[Point]] = {}
    for point in points:
        how = point.flags.optimization
        is_on_the_way = len(how.steps()) == 1 and not how.scale_iterations
        others = [name for name in point.values if name != "iterations" or not is_on_the_way]
        folded.setdefault(tuple((name, point.values[name]) for name in others), []).append(point)
    runs = []
    for number, (key, members) in enumerate(folded.items(), start=1):
        members.sort(key=lambda point: point.flags.optimization.steps()[-1])
        labels = [members[0].labels[name] for name, _ in key]  # type: ignore[attr-defined]
        runs.append(Run(members, ", ".join([f"run {number} of {len(folded)}", *labels])))
    return runs


def varied_options(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Returns, for each optimizer, the numbers in which its runs differ: they become arguments of its program.

    What is the same for all stays in the program's text, which is then the one that `stylize` runs.
    """
    values: dict[str, dict[str, set[float]]] = defaultdict(lambda: defaultdict(set))
    for how in (run.flags.optimization for run in runs):
        seen, options = values[how.optimizer], {**OPTIMIZERS[how.optimizer].defaults, **how.options}
        for name in real_options(how.optimizer):
            seen[name].add(float(options[name]))
    return {
        optimizer: sorted(name for name, some in options.items() if len(some) > 1)
        for optimizer, options in values.items()
    }


def group(runs: Sequence[Run], shared: Shared, varied: Mapping[str, Sequence[str]]) -> list[list[Run]]:
    """Returns the runs in groups that can share a program, each in an order in which targets can be used again.

    As for `jaxstyle.optimize.loop.program_key`, the functions and the shapes of the arguments have to be equal.
    """
    groups: dict[Hashable, list[tuple[int, Run]]] = {}
    turns: dict[Hashable, int] = {}
    for run in runs:
        flags, how = run.flags, run.flags.optimization
        sizes = tuple(how.sizes(*shared.size(flags)))
        update = configured_optimizer(how, traced=varied[how.optimizer]).update
        functions = flags.weighed_objective().program_key(), how.parameterization, value_key(update)
        shapes = flags.network, sizes, len(flags.styles), tuple(how.steps())
        targets = tuple(shared.targets_key(flags, *size) for size in sizes)
        turn = turns.setdefault(targets, len(turns))
        groups.setdefault((functions, shapes), []).append((turn, run))
    return [[run for _, run in sorted(some, key=lambda pair: pair[0])] for some in groups.values()]
