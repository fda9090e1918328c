"""The public names, each once: `jaxstyle/__init__.py` loads a name from here when it is first used."""

from .checks import InputError as InputError
from .config import StyleTransferConfig as StyleTransferConfig
from .optimize.batch import Task as Task
from .optimize.batch import minimize_batch as minimize_batch
from .optimize.batch import minimize_many as minimize_many
from .optimize.loop import compile_run as compile_run
from .optimize.loop import minimize as minimize
from .optimize.loop import run_chunk as run_chunk
from .optimize.optimizers import OPTIMIZERS as OPTIMIZERS
from .optimize.optimizers import make_optimizer as make_optimizer
from .optimize.programs import ProgramCache as ProgramCache
from .optimize.pyramid import minimize_pyramid as minimize_pyramid
from .optimize.records import Progress as Progress
from .optimize.records import Result as Result
from .optimize.records import Status as Status
from .optimize.step import make_loop as make_loop
from .pictures.image_files import read_picture as read_picture
from .pictures.image_files import write_picture as write_picture
from .pictures.images import preserve_colors as preserve_colors
from .pictures.images import resize as resize
from .pictures.samples import load_sample as load_sample
from .pictures.sheets import Cell as Cell
from .pictures.sheets import contact_sheet as contact_sheet
from .problems.parameterizations import apply_parameterization as apply_parameterization
from .problems.problem import Problem as Problem
from .problems.problem import reparameterize as reparameterize
from .problems.statistics import gram_matrix as gram_matrix
from .problems.style_transfer import make_problem as make_problem
from .run_config import AUTO as AUTO
from .run_config import RunConfig as RunConfig
from .run_config import Settings as Settings
from .run_config import StopRule as StopRule
from .stylization import Stylized as Stylized
from .stylization import stylize as stylize
from .vgg.module import VGG as VGG
from .vgg.module import features as features
from .vgg.module import freeze as freeze
from .vgg.weights import Network as Network
from .vgg.weights import load_network as load_network
from .vgg.weights import save_network as save_network

__version__: str
