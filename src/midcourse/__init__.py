"""midcourse: keeps large reasoning models safe while they think, and teaches them to need less keeping.

The four packages below are real top-level folders, reached through committed links, under this one import name:
``midcourse.guard`` (what to do with a stream of reasoning), ``midcourse.models`` (what judges),
``midcourse.train`` (what learns) and ``midcourse.server`` (what serves).
"""

__version__ = "0.1.0"
