"""jaxstyle: image style transfer by optimization, in JAX.

Importing it has no side effect, and each public name is loaded when it is first used: reading a picture needs no JAX.
`__init__.pyi` lists them.

>>> import jaxstyle
>>> network = jaxstyle.load_network()
>>> content, style = jaxstyle.load_sample("astronaut"), jaxstyle.load_sample("swirl", width=128)
>>> content = jaxstyle.resize(content, 128, 128)
>>> problem = jaxstyle.make_problem(jaxstyle.StyleTransferConfig(), network.params, content, [style])
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
