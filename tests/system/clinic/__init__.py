"""A flow whose records are about people, for the tests of what is shown of them."""
