"""`make run`: the collection, `dvc repro` and the summary, without Prefect."""
