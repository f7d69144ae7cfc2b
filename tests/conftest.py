"""Settings of the whole suite."""

import os

# Two workers with two torch threads each only wait for one another; tests need one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# The same examples on every run, and no time limit that a busy machine could miss.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
