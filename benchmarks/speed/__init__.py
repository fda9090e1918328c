"""How fast jaxstyle is, beside plain JAX, PyTorch and pastiche, and beside the machine's own limits: see README.md."""
