"""Start-up cost of feature extraction, and the cache of compiled kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genre.features.report import compiled

FIRST_CLIP = """
import sys
import numpy as np
from genre.features.report import extract
row = extract(np.random.default_rng(0).normal(size=22050).astype("f4"), 22050)
print(repr(row["tempo"]), repr(row["mfcc20_var"]))
for module in ("librosa", "sklearn", "torch", "pandas", "scipy.signal", "scipy.stats"):
    assert module not in sys.modules, module
"""


def run(code: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ["numba", "llvmlite", "librosa", "scipy", "sklearn", "torch", "pandas"]

    out = run(f"import sys, genre.features.report; print([m for m in {heavy} if m in sys.modules])")

    assert out.strip() == "[]"


@pytest.mark.slow
def test_the_first_clip_needs_neither_librosa_nor_what_it_imports() -> None:
    assert run(FIRST_CLIP)


@pytest.mark.slow
def test_a_cache_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    # A file instead of the folder: fails even for root.
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")

    assert run(FIRST_CLIP, NUMBA_CACHE_DIR=str(in_the_way / "cache")) == run(FIRST_CLIP)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o555, 0o700])
def test_a_missing_cache_folder_is_created_and_a_read_only_one_skipped(
    tmp_path: Path, mode: int
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(mode)

    out = run(
        "import numba, numpy as np\n"
        "from genre.features.report.spectrum import Frames, pad\n"
        "print(pad(np.ones(3, 'f4'), Frames(3, 64, 16)).sum())",
        NUMBA_CACHE_DIR=str(parent / "cache"),
    )

    assert out.strip() == "3.0"


def test_without_any_folder_to_write_to_kernels_are_compiled_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    @compiled.kernel("f8(f8[::1])")
    def total(x):  # type: ignore[no-untyped-def]
        sum_ = 0.0
        for value in x:
            sum_ += value
        return sum_

    assert total(np.arange(4.0)) == 6.0


@pytest.mark.slow
def test_machine_code_is_kept_under_the_version_of_what_kernels_share(tmp_path: Path) -> None:
    run("import genre.features.report.shape", NUMBA_CACHE_DIR=str(tmp_path))

    kept = [path.name for path in tmp_path.rglob("*.nbi")]
    assert len(kept) > 0
    assert all(compiled._version() in name for name in kept)


def test_a_kernel_that_does_not_compile_says_why() -> None:
    with pytest.raises(Exception, match="'undefined' is not defined"):

        @compiled.kernel("f8(f8)")
        def wrong(x):  # type: ignore[no-untyped-def]
            return undefined(x)  # type: ignore[name-defined]  # noqa: F821


def test_threads_do_not_share_their_arrays() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from genre.features.report import extract

    rng = np.random.default_rng(0)
    signals = [rng.normal(size=20_000).astype(np.float32) * level for level in (1, 0.1, 0.01, 0)]
    alone = [extract(y, 22_050) for y in signals]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda y: extract(y, 22_050), signals * 5))

    assert together == alone * 5
