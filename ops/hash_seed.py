"""A worker's hash seed: the order of a set must be the same in every run, or outputs are not.

Python reads the seed when it starts, so a process without one has to start again; the sooner that
is seen, the less is imported twice.
"""

from __future__ import annotations

import os
import sys

HASH_SEED = "PYTHONHASHSEED"


def pin_hash_seed() -> None:
    """Start this process anew with a fixed seed, unless it has one."""
    if os.environ.get(HASH_SEED, "random") == "random":
        os.environ[HASH_SEED] = "0"
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
