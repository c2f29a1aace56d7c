"""Settings for all tests, made before anything imports torch."""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tensors are tiny: a second thread only waits for the first
if not hasattr(main := sys.modules["__main__"], "__file__"):  # in a worker of xdist, which pyspark takes for a doctest
    main.__file__ = __file__
