"""The main job: real flights through the streams, learned online, watched while they run, summed
up at the end.
"""
