"""What `kill -9` leaves of a commit to the registry's database."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

# With a cache this small SQLite has to write to the database before the commit, and so the journal,
# which holds what was there before, to the disk.
CHANGE = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 5")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE registered_model_aliases SET version = '99'")
connection.execute("CREATE TABLE filler AS WITH RECURSIVE numbers(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 500) "
    "SELECT n, randomblob(1000) FROM numbers")
os.kill(os.getpid(), signal.SIGKILL)
"""
MAGIC = bytes.fromhex("d9d505f920a163d7")  # a journal that is valid begins with it


def kill_in_a_commit(database: Path) -> Path:
    """Kill a process that has half-changed the database; returns the journal it leaves."""
    before = database.read_bytes()
    done = subprocess.run([sys.executable, "-c", CHANGE, str(database)], check=False)
    assert done.returncode == -signal.SIGKILL
    journal = database.with_name(f"{database.name}-journal")
    assert journal.read_bytes().startswith(MAGIC)
    assert database.read_bytes() != before
    return journal
