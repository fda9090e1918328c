"""Gradient transformations that optax lacks, one file each."""
