"""jaxstyle: image style transfer by optimization, in JAX.

Importing it has no side effect, and each public name is loaded when it is first used: reading a picture needs no JAX.

>>> import jaxstyle
>>> network = jaxstyle.load_network()
>>> content, style = jaxstyle.load_sample("astronaut"), jaxstyle.load_sample("swirl", width=128)
>>> content = jaxstyle.resize(content, 128, 128)
>>> problem = jaxstyle.make_problem(jaxstyle.StyleTransferConfig(), network.params, content, [style])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from jaxstyle.batch import minimize_batch as minimize_batch
    from jaxstyle.checks import InputError as InputError
    from jaxstyle.image_files import read_picture as read_picture
    from jaxstyle.image_files import write_picture as write_picture
    from jaxstyle.images import preserve_colors as preserve_colors
    from jaxstyle.images import resize as resize
    from jaxstyle.loop import compile_run as compile_run
    from jaxstyle.loop import make_loop as make_loop
    from jaxstyle.loop import minimize as minimize
    from jaxstyle.loop import run_chunk as run_chunk
    from jaxstyle.many import Task as Task
    from jaxstyle.many import minimize_many as minimize_many
    from jaxstyle.optimizers import OPTIMIZERS as OPTIMIZERS
    from jaxstyle.optimizers import make_optimizer as make_optimizer
    from jaxstyle.parameterizations import apply_parameterization as apply_parameterization
    from jaxstyle.pretrained import Network as Network
    from jaxstyle.pretrained import load_network as load_network
    from jaxstyle.pretrained import save_network as save_network
    from jaxstyle.problem import Problem as Problem
    from jaxstyle.problem import reparameterize as reparameterize
    from jaxstyle.problems.style_transfer import StyleTransferConfig as StyleTransferConfig
    from jaxstyle.problems.style_transfer import make_problem as make_problem
    from jaxstyle.pyramid import minimize_pyramid as minimize_pyramid
    from jaxstyle.runs import Progress as Progress
    from jaxstyle.runs import Result as Result
    from jaxstyle.runs import Status as Status
    from jaxstyle.runs import StopRule as StopRule
    from jaxstyle.samples import load_sample as load_sample
    from jaxstyle.settings import AUTO as AUTO
    from jaxstyle.settings import Settings as Settings
    from jaxstyle.sheets import Cell as Cell
    from jaxstyle.sheets import contact_sheet as contact_sheet
    from jaxstyle.statistics import gram_matrix as gram_matrix
    from jaxstyle.stylization import Stylized as Stylized
    from jaxstyle.stylization import stylize as stylize
    from jaxstyle.vgg import VGG as VGG
    from jaxstyle.vgg import features as features
    from jaxstyle.vgg import freeze as freeze

_HOMES = {
    "batch": ("minimize_batch",),
    "checks": ("InputError",),
    "image_files": ("read_picture", "write_picture"),
    "images": ("preserve_colors", "resize"),
    "loop": ("compile_run", "make_loop", "minimize", "run_chunk"),
    "many": ("Task", "minimize_many"),
    "optimizers": ("OPTIMIZERS", "make_optimizer"),
    "parameterizations": ("apply_parameterization",),
    "pretrained": ("Network", "load_network", "save_network"),
    "problem": ("Problem", "reparameterize"),
    "problems.style_transfer": ("StyleTransferConfig", "make_problem"),
    "pyramid": ("minimize_pyramid",),
    "runs": ("Progress", "Result", "Status", "StopRule"),
    "samples": ("load_sample",),
    "settings": ("AUTO", "Settings"),
    "sheets": ("Cell", "contact_sheet"),
    "statistics": ("gram_matrix",),
    "stylization": ("Stylized", "stylize"),
    "vgg": ("VGG", "features", "freeze"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'jaxstyle' has no attribute {name!r}")
    return getattr(import_module(f"jaxstyle.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
