"""The Prefect flows `retrain` and `classify`.

Importing this package, before Prefect, sets Prefect's home inside the project (the current folder)
and disables usage data of Prefect, MLflow and DVC. Environment variables that are already set are
kept.
"""

import os
from pathlib import Path

SERVICES = Path(".services")  # state and logs of `make up`

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

# No proxy for services on this machine.
for _name in ("NO_PROXY", "no_proxy"):
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), "127.0.0.1,localhost")))

# Prefect creates its home on import, but not the parent folder.
Path(os.environ["PREFECT_HOME"]).parent.mkdir(parents=True, exist_ok=True)
