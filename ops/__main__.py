"""`python -m ops` is `doa`."""

from __future__ import annotations

import sys

from ops.hash_seed import pin_hash_seed

RUNNING = {
    "worker",
    "verify",
    "rebuild",
    "backtest",
}  # commands that run a flow, or fold a model again


def main() -> None:
    """Run the command line; who runs a flow gets its hash seed before much is imported."""
    if set(sys.argv) & RUNNING:
        pin_hash_seed()
    from ops import compiled

    compiled.prefer()
    from ops import cli

    cli.main()


if __name__ == "__main__":
    main()
