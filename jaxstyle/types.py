"""Types of the arrays that modules exchange (shapes in jaxtyping's notation).

The axes are height, width, channels everywhere, without a batch axis; batches are computed with `jax.vmap`.
"""

from typing import Any

import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

#: RGB in [0, 1], sRGB encoded. Readers of files return NumPy arrays; functions accept NumPy and JAX arrays.
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

#: A random key, as `jax.random.key(seed)` returns it.
Key = PRNGKeyArray

#: Parameters of a VGG: `{"mean": [3], "conv1_1": {"kernel": [3, 3, in, out], "bias": [out]}, ...}`.
NetworkParams = dict[str, Any]
