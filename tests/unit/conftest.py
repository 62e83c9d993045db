"""Property tests try the same examples in every run, and leave no database behind."""

from hypothesis import settings

settings.register_profile("champion", derandomize=True, deadline=None, database=None, max_examples=60)
settings.load_profile("champion")
