"""Music genre classification: songs in genre folders in, a classifier that can be trusted out.

The domain of the pipeline. Plain Python, numpy and torch; it knows no DVC and no Prefect.
Audio is float32 between -1 and 1, mono signals have shape=(n,), and times are in seconds.
"""

__version__ = "0.1.0"
