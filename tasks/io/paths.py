"""Paths of inputs and outputs, relative to the project, as in `dvc.yaml`."""

from pathlib import Path

RAW = Path("data/raw")
INBOX = Path("data/inbox")  # unless retrain.inbox names another folder
NEW_SONGS = Path("data/new_songs")  # unless evaluate.new_songs names another folder
CATALOGUE = Path("data/catalogue.parquet")
DUPLICATES = Path("data/duplicates.parquet")
CLIPS = Path("data/clips")
SPECTROGRAMS = Path("data/spectrograms")
LOG_MEL = Path("data/log_mel")
FEATURES = Path("data/features")
REPORT_3S = Path("data/features/report/3s")
FEATURES_CSV = Path("data/features/csv")
FAMILIES = Path("data/families.json")
PRETRAINED = Path("data/pretrained")
SPLIT = Path("data/split.parquet")
MODELS = Path("models")
CLASSIFIER = Path("classifier")
REPORTS = Path("reports")
HELD_OUT = Path("reports/held_out.parquet")
SELECTION = Path("reports/selection.json")
NEW_SONGS_REPORT = Path("reports/new_songs")
RECEIPT = Path("mlruns/registered.json")
