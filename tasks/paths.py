"""Where the steps read and write, relative to the project's root. `dvc.yaml` says the same."""

from pathlib import Path

RAW = Path("data/raw")
CATALOGUE = Path("data/catalogue.parquet")
CLIPS = Path("data/clips")
SPECTROGRAMS = Path("data/spectrograms")
FEATURES = Path("data/features")
FEATURES_30S = Path("data/features/30s")
FEATURES_3S = Path("data/features/3s")
FEATURES_CSV = Path("data/features/csv")
SPLIT = Path("data/split.parquet")
MODELS = Path("models")
REPORTS = Path("reports")
RECEIPT = Path("mlruns/registered.json")
