"""A flow for the tests of dead letters: it has a fault that can be mended."""
