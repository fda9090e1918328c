"""How a problem is minimized: optimizers, the one loop, and runs that are batched or go from coarse to fine."""
