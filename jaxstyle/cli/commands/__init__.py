"""One module for each command. Its `COMMANDS` maps the command's name to its class of flags.

`run()` of that class returns the exit code. The command line imports every module of this folder.
"""
