"""Hostile bytes against the decoders, in a process whose memory and time are bounded."""
