"""A small part of what ``benchmarks/fuzz_audio.py`` does."""

import io
import time

import pytest

from tests.utils.audio.helpers import open_files
from tests.utils.audio.mutations import KINDS, make, mutated
from voice_stack.core.errors import InvalidAudioError
from voice_stack.utils.audio.decode import decode_audio


def test_a_damaged_file_is_decoded_or_refused_and_leaves_nothing_behind(capfd: pytest.CaptureFixture[str]) -> None:
    originals = {kind: make(kind) for kind in KINDS}
    decoded, refusals = 0, []
    files = open_files()
    for seed in range(400):
        kind, data = mutated(seed, originals)
        started_at = time.monotonic()
        try:
            samples = sum(map(len, decode_audio(io.BytesIO(data))))
        except InvalidAudioError as error:
            refusals.append((error.param, error.message))
        else:
            assert 0 < samples < 600 * 16_000, (seed, kind)
            decoded += 1
        assert time.monotonic() - started_at < 10, (seed, kind)

    assert min(decoded, len(refusals)) > 100
    assert {param for param, _ in refusals} == {"file"}
    assert min(len(message) for _, message in refusals) > 20
    assert open_files() == files
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_decoded_undamaged(kind: str) -> None:
    assert 7_000 < sum(map(len, decode_audio(io.BytesIO(make(kind))))) < 10_000
