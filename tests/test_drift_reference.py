"""What a version keeps of its training songs: the same bytes each time, and checked when read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load as decode
from safetensors.numpy import save as encode
from scipy import stats

from genre.drift.reference import ARRAYS, DESCRIPTION, MOST_SONGS, Reference, load, make, save
from genre.errors import InputError

NAMES = tuple(f"column_{number:02}" for number in range(40))


@pytest.fixture(scope="module")
def reference() -> Reference:
    random = np.random.default_rng(0)
    songs = pd.DataFrame(random.normal(size=(300, len(NAMES))), columns=list(NAMES))
    return make(songs, {"jazz": 150, "rock": 150}, random.beta(8, 2, size=100), "middle")


def test_a_reference_is_read_as_it_was_written_and_always_the_same_bytes(reference, tmp_path):
    for name in ("a", "b"):
        save(reference, tmp_path / name)

    found = load(tmp_path / "a")

    assert list(found.columns) == list(NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(found.columns[name], reference.columns[name])
    np.testing.assert_array_equal(found.confidence, reference.confidence)
    assert (found.genres, found.position) == ({"jazz": 150, "rock": 150}, "middle")
    for name in (DESCRIPTION, ARRAYS):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_of_very_many_songs_so_many_are_kept_that_the_distribution_stays() -> None:
    many = np.random.default_rng(0).normal(size=50_001)

    kept = make(pd.DataFrame({"a": many}), {"jazz": 50_001}, many[:0], "start").columns["a"]

    assert len(kept) == MOST_SONGS
    assert stats.ks_2samp(kept, many).statistic < 1 / MOST_SONGS


def rewritten(folder: Path, **changes) -> None:
    """Change the arrays, and let the description belong to them."""
    arrays = decode((folder / ARRAYS).read_bytes()) | changes
    content = encode({name: array for name, array in arrays.items() if array is not None})
    (folder / ARRAYS).write_bytes(content)
    described = json.loads((folder / DESCRIPTION).read_text())
    described["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / DESCRIPTION).write_text(json.dumps(described))


def described(folder: Path, **changes) -> None:
    content = json.loads((folder / DESCRIPTION).read_text()) | changes
    (folder / DESCRIPTION).write_text(json.dumps(content))


DAMAGES = {
    "one byte is another": (
        lambda f: (f / ARRAYS).write_bytes((f / ARRAYS).read_bytes()[:-1] + b"\x00"),
        "damaged, or not what reference.json belongs to",
    ),
    "the arrays are gone": (lambda f: (f / ARRAYS).unlink(), "cannot be read"),
    "the description is gone": (lambda f: (f / DESCRIPTION).unlink(), "cannot be read"),
    "a pickle": (lambda f: (f / ARRAYS).write_bytes(b"\x80\x04."), "damaged"),
    "no JSON": (lambda f: (f / DESCRIPTION).write_text("{"), "not the reference"),
    "an unknown key": (lambda f: described(f, run="rm"), "run: Extra inputs"),
    "more rows than are kept": (lambda f: described(f, rows=10**9), "rows: Input should be less"),
    "fewer rows": (lambda f: described(f, rows=3), "columns is float64 (300, 40), expected"),
    "another kind of number": (
        lambda f: rewritten(f, confidence=np.zeros(100, np.float32)),
        "confidence is float32 (100,), expected float64 (100,)",
    ),
    "not a number": (lambda f: rewritten(f, confidence=np.full(100, np.nan)), "not finite"),
    "not sorted": (lambda f: rewritten(f, columns=np.eye(300, 40)), "not sorted"),
    "no probability": (lambda f: rewritten(f, confidence=np.full(100, 1.5)), "no probability"),
    "an array more": (lambda f: rewritten(f, more=np.zeros(1)), "unknown arrays more"),
    "an array less": (lambda f: rewritten(f, confidence=None), "confidence is missing"),
    "a column twice": (
        lambda f: described(f, columns=["a"] * len(NAMES)),
        "names a column twice",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_reference_is_refused(reference, tmp_path, what) -> None:
    save(reference, tmp_path)
    damage, message = DAMAGES[what]

    damage(tmp_path)

    with pytest.raises(InputError) as raised:
        load(tmp_path)
    assert message in str(raised.value)
    assert "register the model again" in str(raised.value)


def test_arrays_larger_than_described_are_not_even_read(reference, tmp_path) -> None:
    save(reference, tmp_path)
    with (tmp_path / ARRAYS).open("r+b") as file:
        file.truncate(2**40)

    with pytest.raises(InputError, match="expected at most"):
        load(tmp_path)
