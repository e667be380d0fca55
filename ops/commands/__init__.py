"""The commands of `doa`, a module per concern."""
