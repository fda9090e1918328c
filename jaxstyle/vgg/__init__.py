"""The network that looks at pictures: its layers, its weights on disk, and how it computes on each kind of device."""
