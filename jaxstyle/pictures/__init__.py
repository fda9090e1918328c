"""Pictures: pure functions on arrays, files on disk, contact sheets and samples. The contract is in `images`."""
