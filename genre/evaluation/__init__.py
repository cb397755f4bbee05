"""Scores of predictions with confidence intervals, calibration, and model selection.

Conventions
-----------
A table of *predictions* has one row per segment: `model`, `track_id`, `segment` (int64), `group`
and `subset` (from the split), `genre` (the true one), `temperature`, and `p_<genre>`, the
probability of each genre that the model was trained on (float64, rows sum to 1). A song's
probabilities are the mean of its segments', scaled by that temperature. The predicted genre is the
first with the highest probability.

Scores lie between 0 and 1 and are scikit-learn's, with `zero_division=0`. Macro means average the
genres that occur in the rows, as the true genre or as a prediction. Intervals are 95 % percentile
intervals of a bootstrap over groups, because songs of one artist are not independent. If all groups
have the same score (all correct, all wrong), they are Wilson's intervals with the number of groups
as n.
"""

from genre.evaluation.bootstrap import Comparison, compare
from genre.evaluation.calibration import Reliability, fit_temperature, reliability
from genre.evaluation.metrics import (
    LEVELS,
    confusion,
    evaluate,
    measure,
    most_confused,
    per_genre,
)
from genre.evaluation.predictions import (
    KEYS,
    by_song,
    classes_of,
    make,
    predicted,
    probabilities,
    truth,
    validate,
)
from genre.evaluation.selection import VOTE, Candidate, candidates, select, vote
from genre.soft_voting import scale

__all__ = [
    "KEYS",
    "LEVELS",
    "VOTE",
    "Candidate",
    "Comparison",
    "Reliability",
    "by_song",
    "candidates",
    "classes_of",
    "compare",
    "confusion",
    "evaluate",
    "fit_temperature",
    "make",
    "measure",
    "most_confused",
    "per_genre",
    "predicted",
    "probabilities",
    "reliability",
    "scale",
    "select",
    "truth",
    "validate",
    "vote",
]
