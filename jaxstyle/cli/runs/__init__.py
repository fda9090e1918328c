"""What the commands do. Each module here loads JAX and all else at its top; its command imports it when it runs."""
