"""What is minimized. One file per experiment: a config dataclass and `make_problem`, which returns a `Problem`."""
