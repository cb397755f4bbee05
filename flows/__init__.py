"""Prefect: when the steps run, and what happens when one fails.

Importing this package, before anything imports Prefect, gives Prefect a home inside the project
(the current folder) and keeps Prefect, MLflow and DVC from sending usage data. What is already set
in the environment wins.
"""

import os
from pathlib import Path

SERVICES = Path(".services")  # state, logs and process records of what `make up` starts

SETTINGS = {
    "PREFECT_HOME": str((SERVICES / "prefect").resolve()),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # the first start makes a database
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
}

for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)

# What listens on this machine alone is never asked for through a proxy.
for _name in ("NO_PROXY", "no_proxy"):
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), "127.0.0.1,localhost")))

# Prefect makes its home when it is imported, but not the folder that it lies in.
Path(os.environ["PREFECT_HOME"]).parent.mkdir(parents=True, exist_ok=True)
