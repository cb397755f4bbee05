"""The steps of the pipeline, one module each: files and parameters in, files out."""

import time

STARTED = time.monotonic()  # so that the imports of a step are part of its time
