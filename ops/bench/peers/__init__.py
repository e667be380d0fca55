"""The same hop as users of other engines would write it, each in an environment of its own."""
