"""Benchmarks, a module per measured claim.

All run on one thread, which must be set before the libraries are imported.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
