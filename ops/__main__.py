"""`python -m ops` is `doa`."""

from __future__ import annotations

import sys

from ops import INTERRUPTED
from ops.hash_seed import pin_hash_seed
from ops.interrupt import Interrupt

# Commands that run a flow, or fold a model again.
RUNNING = {"worker", "verify", "rebuild", "backtest"}


def main() -> None:
    """Run the command line; who runs a flow gets its hash seed before much is imported."""
    if set(sys.argv) & RUNNING:
        pin_hash_seed()
    interrupt = Interrupt()
    try:
        from ops import compiled

        compiled.prefer()
        from ops import cli

        cli.main()
    except KeyboardInterrupt:  # a library that is being loaded hears it first
        sys.exit(INTERRUPTED)
    except Exception:
        if interrupt.asked:  # a library that was called just then has made another error of it
            sys.exit(INTERRUPTED)
        raise


if __name__ == "__main__":
    main()
