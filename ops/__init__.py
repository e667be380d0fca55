"""How it is run and seen."""

INTERRUPTED = 130  # the exit code of a command that was told to stop
