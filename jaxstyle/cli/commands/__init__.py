"""One file per command: its `COMMANDS` maps names to classes of flags, whose `run()` returns the exit code.

The command line finds the files by itself.
"""
