"""Parameters with the feature families that a test is about, in the place of `auto`."""

from __future__ import annotations

from typing import Any

from genre.core.params import Params


def with_families(params: Params, *families: str, **sections: Any) -> Params:
    """`params` with `features.families`, and with other `sections` in the place of its own."""
    features = params.features.model_copy(update={"families": list(families)})
    return params.model_copy(update={"features": features, **sections})
