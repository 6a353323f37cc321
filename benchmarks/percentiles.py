"""Medians and percentiles of what was measured."""

import math
import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them (0 to 1) do not exceed: nearest rank, nothing interpolated.

    Raises:
        ValueError: there are no values, or the share is none.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError(f"no percentile {share} of {len(values)} values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """How values are spread: count, p50, p95, p99 and the largest; only the count where there are none."""
    if not values:
        return {"count": 0}
    tails = {f"p{round(100 * share)}": percentile(values, share) for share in (0.5, 0.95, 0.99)}
    return {"count": len(values), **tails, "worst": max(values)}


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over the pairs of ours by theirs: what slows the machine down touches both of a pair."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
