"""`make run` without Prefect: collection, `dvc repro`, summary; tables of classified songs."""
