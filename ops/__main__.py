"""`python -m ops` is `doa`."""

from __future__ import annotations

import sys

from ops.hash_seed import pin_hash_seed


def main() -> None:
    """Run the command line; a worker gets its hash seed before anything large is imported."""
    if "worker" in sys.argv:
        pin_hash_seed()
    from ops import compiled

    compiled.prefer()
    from ops import cli

    cli.main()


if __name__ == "__main__":
    main()
