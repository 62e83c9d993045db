import sys

from champion.core.watched import watch_stage

# `python -m` looks for the stage here, before the stage reads its libraries.
if sys.argv[0] == "-m":
    watch_stage()
