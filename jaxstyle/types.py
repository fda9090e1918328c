"""Names for the arrays that travel between modules (shapes in jaxtyping's notation).

Height, width and channels stand in that order everywhere, channels last, with no batch axis: a batch is a `vmap`.
"""

from typing import Any

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

#: RGB in [0, 1], sRGB encoded. Files give NumPy arrays; functions take both kinds.
Picture = Float[Array | np.ndarray, "height width 3"]

#: The same of a size of its own, beside other pictures in one signature.
AnyPicture = Float[Array | np.ndarray, "_ _ 3"]

#: One layer's activations.
Features = Float[Array, "height width channels"]

#: The same of a size of its own, beside other layers or pictures in one signature.
AnyFeatures = Float[Array, "_ _ _"]

#: Uncentered second moments of a layer's channels.
Gram = Float[Array, "channels channels"]

#: The same beside those of other layers in one signature.
AnyGram = Float[Array, "_ _"]

#: A single number.
Scalar = Float[Array, ""]

#: `jax.random.key(seed)`.
Key = PRNGKeyArray

#: `{"mean": [3], "conv1_1": {"kernel": [3, 3, in, out], "bias": [out]}, ...}`: see `jaxstyle.vgg.module`.
NetworkParams = dict[str, Any]
