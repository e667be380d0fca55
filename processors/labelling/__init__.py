"""How questions get their labels. No flow of its own."""
