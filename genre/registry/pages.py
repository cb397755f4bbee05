"""MLflow's pages in one process: `python -m genre.registry.pages` takes `mlflow server`'s options.

`mlflow server` itself starts the server as a child, and waits for it with a whole second MLflow in
memory (200 MB). Here it becomes that child; nothing else of it is changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn


def become(command: Sequence[str], *, extra_env: Mapping[str, str], **_: Any) -> NoReturn:
    """Replace this process by `command`, instead of starting it."""
    words = [str(word) for word in command]
    os.execvpe(words[0], words, {**os.environ, **extra_env})


def main(arguments: list[str]) -> None:
    """Serve the pages until SIGTERM."""
    from mlflow import cli, server

    vars(server)["_exec_cmd"] = become
    cli.cli(["server", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
