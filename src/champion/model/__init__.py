"""A model in use, and what several stages share of it."""

import os

# OpenMP reads this when scikit-learn loads it. The threads of boosting wait for each other thousands of times. Without
# this, waiting threads use the CPU, which makes a busy machine five times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
