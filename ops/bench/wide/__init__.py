"""The flow `wide`: the hop among two hundred streams, of which the others are silent."""
