"""How fast jaxstyle is, beside plain JAX, PyTorch and pastiche, and beside the machine's own limits.

`python -m benchmarks.speed --help`; the results and the table of attempts are in README.md beside this file.
"""
