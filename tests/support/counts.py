"""Reads what a service tells Prometheus."""

from collections import defaultdict
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def samples_in(text: str) -> list[Sample]:
    """Every sample of an exposition."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def total(text: str, name: str, **labels: str) -> float:
    """The sum of the samples of one of our metrics that have these labels."""
    return sum(
        sample.value
        for sample in samples_in(text)
        if sample.name == f"voice_stack_{name}" and labels.items() <= sample.labels.items()
    )


class CountWatch:
    """Tells which counts have moved, and by how much."""

    def __init__(self, client: httpx.AsyncClient, **request: Any) -> None:
        self._client = client
        self._request = request
        self._before: dict[str, float] = {}

    async def _counts(self) -> dict[str, float]:
        answer = await self._client.get("/metrics", **self._request)
        assert answer.status_code == 200
        counts: defaultdict[str, float] = defaultdict(float)
        for sample in samples_in(answer.text):
            name = sample.name.removeprefix("voice_stack_")
            # Which kind of job it was, and what shared a batch, is the queue's affair.
            if name != sample.name and name.endswith(("_total", "_count")) and not name.startswith("batch_"):
                labels = [
                    sample.labels[key]
                    for key in ("method", "route", "status", "outcome", "code")
                    if key in sample.labels
                ]
                counts[" ".join([name, *labels])] += sample.value
        return counts

    async def begin(self) -> None:
        """Take the counts as they are now."""
        self._before = await self._counts()

    async def moved(self) -> dict[str, float]:
        """The counts that are not what they were."""
        after = await self._counts()
        return {
            name: after[name] - self._before.get(name, 0) for name in after if after[name] != self._before.get(name, 0)
        }
