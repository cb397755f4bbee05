"""How good a model is, and how sure that is.

Conventions
-----------
A table of *predictions* has a row a segment: `model`, `track_id`, `segment` (int64), `group` and
`subset` (as the split says), `genre` (the true one), `temperature`, and `p_<genre>`, the
probability of each genre that the model knows (float64, rows sum to 1). A song's probabilities are
the mean of its segments', scaled by that temperature. The genre that is predicted is the first of
the likeliest.

Scores lie between 0 and 1 and are scikit-learn's, with `zero_division=0`. Macro means average the
genres that occur in the rows, as the true genre or as a prediction. Intervals are 95 % percentile
intervals of a bootstrap over groups: pieces of one song or artist are drawn together, or not at
all, as they are not independent of each other. If all groups score the same (all correct, all
wrong), they are Wilson's intervals with the number of groups as n.
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
