"""Error rates, after Whisper's own text normalisers."""

from collections.abc import Sequence

import jiwer
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer


def english_word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Word error rate over all sentences together, after Whisper's English text normaliser."""
    normalize = EnglishTextNormalizer()
    return float(jiwer.wer([normalize(text) for text in references], [normalize(text) for text in hypotheses]))


def character_error_rate(reference: str, hypothesis: str) -> float:
    """Character error rate without spaces, after Whisper's basic text normaliser: fair to every script."""
    normalize = BasicTextNormalizer()
    pair = [normalize(text).replace(" ", "") for text in (reference, hypothesis)]
    return float(jiwer.cer(pair[0], pair[1]))
