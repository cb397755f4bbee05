"""The stages of `dvc.yaml`, one module each: files and parameters in, files out."""

import time

STARTED = time.monotonic()  # includes the imports of a step in its time
