"""`python -m ops` is `doa`."""

from ops.cli import main

main()
