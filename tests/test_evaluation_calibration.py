"""Calibration: calibrated probabilities pass, others are detected and scaled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from genre import evaluation
from genre.core.errors import InputError

DRAWN = {"samples": 300, "seed": 0}
Rows = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def samples(rows: int = 2000, *, seed: int = 0, sureness: float = 1.0, genres: int = 5) -> Rows:
    """Probabilities and true classes; calibrated if `sureness` is 1, overconfident above."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (rows, genres))
    gumbel = random.gumbel(size=logits.shape)
    proba = np.exp(sureness * logits)
    return proba / proba.sum(axis=1, keepdims=True), (logits + gumbel).argmax(axis=1)


def test_bins_are_scikit_learns_calibration_curve() -> None:
    proba, truth = samples(1000)
    bins = evaluation.reliability(proba, truth, **DRAWN).bins
    right = (proba.argmax(axis=1) == truth).astype(int)
    accuracy, confidence = calibration_curve(
        right, proba.max(axis=1), n_bins=10, strategy="quantile"
    )
    assert bins["confidence"].to_numpy() == pytest.approx(confidence, abs=1e-3)
    assert bins["accuracy"].to_numpy() == pytest.approx(accuracy, abs=0.011)
    assert bins["n"].tolist() == [100] * 10


def test_the_error_is_the_mean_distance_of_confidence_and_accuracy() -> None:
    found = evaluation.reliability(*samples(503), **DRAWN)
    bins = found.bins
    distance = (bins["accuracy"] - bins["confidence"]).abs()
    assert found.ece == pytest.approx((distance * bins["n"]).sum() / 503)


def test_calibrated_probabilities_are_inside_the_band_nineteen_times_of_twenty() -> None:
    found = [evaluation.reliability(*samples(seed=s), **DRAWN) for s in range(40)]
    assert 0.01 < sum(one.outside for one in found) / 400 < 0.10
    assert sum(one.consistent for one in found) >= 34


def test_debiasing_takes_away_what_chance_adds() -> None:
    # given: calibrated probabilities, and few rows, so that bins differ from them by chance
    found = [evaluation.reliability(*samples(200, seed=s), **DRAWN) for s in range(40)]
    raw = np.mean([one.ece for one in found])
    debiased = np.mean([one.ece_debiased for one in found])
    assert raw > 0.05
    assert debiased < 0.6 * raw
    # and a real error stays
    proba, truth = samples(20_000, sureness=3)
    real = evaluation.reliability(proba, truth, **DRAWN)
    assert real.ece_debiased == pytest.approx(real.ece, abs=0.003)
    assert real.ece > 0.1


def test_debiasing_is_the_mean_of_simulated_errors_in_closed_form() -> None:
    """Against the simulation that Kumar et al. describe."""
    found = evaluation.reliability(*samples(300), **DRAWN)
    bins, random = found.bins, np.random.default_rng(0)
    accuracy, sizes = bins["accuracy"].to_numpy(), bins["n"].to_numpy()
    spread = np.sqrt(accuracy * (1 - accuracy) / sizes)
    drawn = random.normal(accuracy, spread, (100_000, len(bins)))
    simulated = (abs(drawn - bins["confidence"].to_numpy()) @ (sizes / sizes.sum())).mean()
    assert found.ece_debiased == pytest.approx(max(0, 2 * found.ece - simulated), abs=5e-4)


@pytest.mark.parametrize("sureness", [0.5, 1.0, 2.5])
def test_temperature_scaling_finds_the_right_confidence(sureness: float) -> None:
    proba, truth = samples(20_000, sureness=sureness)
    temperature = evaluation.fit_temperature(proba, truth)
    assert temperature == pytest.approx(sureness, rel=0.05)
    scaled = evaluation.scale(proba, temperature)
    assert log_loss(truth, scaled) <= log_loss(truth, proba) + 1e-9
    assert evaluation.reliability(scaled, truth, **DRAWN).consistent
    assert (scaled.argmax(axis=1) == proba.argmax(axis=1)).all()


def test_no_other_temperature_is_likelier() -> None:
    proba, truth = samples(300, sureness=2)
    best = evaluation.fit_temperature(proba, truth)
    losses = [
        log_loss(truth, evaluation.scale(proba, t)) for t in (best, 0.98 * best, 1.02 * best, 1.0)
    ]
    assert losses[0] == min(losses)


def test_a_temperature_of_one_changes_nothing_and_zeros_do_no_harm() -> None:
    proba, _ = samples(50)
    assert evaluation.scale(proba, 1) == pytest.approx(proba)
    sure = evaluation.scale(np.array([[1.0, 0.0, 0.0]]), 3)
    assert sure.sum() == pytest.approx(1)
    assert np.isfinite(sure).all()


def test_a_model_that_is_always_correct_and_confident_is_calibrated() -> None:
    proba, truth = np.eye(3)[[0, 1, 2] * 10], np.array([0, 1, 2] * 10)
    found = evaluation.reliability(proba, truth, **DRAWN)
    assert (found.ece, found.ece_debiased, found.outside) == (0, 0, 0)
    assert np.isfinite(evaluation.fit_temperature(proba, truth))


def test_few_rows_make_few_bins_and_too_few_are_refused() -> None:
    assert len(evaluation.reliability(*samples(18), **DRAWN).bins) == 3
    with pytest.raises(InputError, match="found 4 rows"):
        evaluation.reliability(*samples(4), **DRAWN)
    with pytest.raises(InputError, match="no rows to fit"):
        evaluation.fit_temperature(np.empty((0, 3)), np.empty(0, dtype=int))


def test_the_same_seed_gives_the_same_band() -> None:
    one, two = (evaluation.reliability(*samples(), **DRAWN) for _ in range(2))
    assert one.bins.equals(two.bins)
