"""SQL over streams: each query on a snapshot that can be taken up again, in a process of its own
that can reach nothing else.
"""
