"""Settings for all tests, made before anything imports torch."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tensors are tiny: a second thread only waits for the first
