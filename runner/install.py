"""Run `pip install` for `make`, with short progress and a clear error.

    python -m runner.install --editable '.[app]'

The arguments are those of `pip install`; only pip is installed yet. If pip cannot reach the package
index, it reports conflicting dependencies; here the real cause is reported.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

LINE_SECONDS = 10.0  # between lines with the count of packages
LARGE_MB = 20.0  # downloads from this size on are shown
BAD_INPUT = 2
PIP = (
    *(sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"),
    "--no-compile",  # Python compiles on import what is used
)

_DOWNLOAD = re.compile(r"\s*Downloading (?:\S*/)?(?P<file>[^/\s]+) \((?P<mb>[\d.]+) MB\)")
_UNREACHABLE = re.compile(r"after connection broken by '(?P<why>.+)': \S+$")


def progress(lines: Iterable[str]) -> Iterator[str]:
    """Yield progress from pip's output: large downloads, counts of packages, phases."""
    start = last = time.monotonic()
    packages = 0
    for line in lines:
        shown = ""
        now = time.monotonic()
        if line.startswith(("Collecting ", "Processing ")):
            packages += 1
            if now - last >= LINE_SECONDS:
                shown = f"collected {packages} packages"
        elif (match := _DOWNLOAD.match(line)) and float(match["mb"]) >= LARGE_MB:
            shown = f"downloading {match['file']} ({match['mb']} MB)"
        elif line.startswith("Installing collected packages: "):
            shown = f"installing {line.count(',') + 1} packages (a minute or two) …"
        if shown:
            last = now
            yield f"  {now - start:4.0f} s  {shown}"


def reason(lines: list[str]) -> str:
    """Explain pip's failure: no index was reached, else pip's own message."""
    broken = [match["why"] for line in lines if (match := _UNREACHABLE.search(line))]
    if broken:
        return (
            f"the package index cannot be reached ({broken[-1].rpartition('>: ')[2].rstrip(')')}): "
            "check the network, and the proxy and index in pip's settings (pip config list), then "
            "run the same command again"
        )
    first = next((at for at, line in enumerate(lines) if "error:" in line.lower()), -20)
    return "pip install failed:\n" + "\n".join(lines[first:])


def main(arguments: list[str]) -> int:
    """Install and return the exit code: 2 if pip failed."""
    lines: list[str] = []
    with subprocess.Popen(
        [*PIP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        assert pip.stdout is not None

        def read() -> Iterator[str]:
            for line in pip.stdout or ():
                lines.append(line.rstrip())
                yield lines[-1]

        for shown in progress(read()):
            print(shown, flush=True)
    if pip.returncode == 0:
        return 0
    print(f"error: {reason(lines)}", file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
