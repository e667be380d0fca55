"""A fault campaign: kill, stop, tear and starve a running flow, and compare what it wrote with an
undisturbed run.

`doa chaos` runs it on a stack of its own, so that nobody's data is in danger. `ops/guarantees.md`
says what it proves.
"""
