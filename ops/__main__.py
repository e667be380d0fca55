"""`python -m ops` is `doa`."""

from __future__ import annotations

import sys

from ops import INTERRUPTED
from ops.hash_seed import pin_hash_seed

# Commands that run a flow, or fold a model again.
RUNNING = {"worker", "verify", "rebuild", "backtest"}


def main() -> None:
    """Run the command line; who runs a flow gets its hash seed before much is imported."""
    if set(sys.argv) & RUNNING:
        pin_hash_seed()
    try:
        from ops import compiled

        compiled.prefer()
        from ops import cli
    except KeyboardInterrupt:  # a library that is being loaded hears it first
        sys.exit(INTERRUPTED)
    cli.main()


if __name__ == "__main__":
    main()
