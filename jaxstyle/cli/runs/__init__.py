"""The work of the commands. Each module here imports JAX; its command imports the module only when it runs."""
