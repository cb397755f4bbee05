"""What is measured, and how: one module a claim.

All of it on one thread, which the libraries must know before they are imported.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
