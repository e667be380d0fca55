"""How well what was served held, and whether that changed. No flow of its own."""
