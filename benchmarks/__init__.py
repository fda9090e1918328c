"""Measurements of jaxstyle. Imports jaxstyle and is never imported by it."""
