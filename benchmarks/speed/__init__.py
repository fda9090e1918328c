"""The speed of jaxstyle, plain JAX, PyTorch and pastiche, and the limits of the machine. README.md has the results."""
