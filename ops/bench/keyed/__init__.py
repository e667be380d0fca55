"""The flow `keyed`: a hop that remembers something of each sensor."""
