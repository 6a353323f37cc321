"""When what a model wrote cannot be what was said."""

# Text made of noise, hum and music had a no-speech probability of 0.7 to 0.83 and a mean log probability of -0.63 to
# -0.94; of speech, clear or in noise, no segment with more than 0.6 of the first had less than -0.56 of the second.
_NO_SPEECH_PROB = 0.6
_NO_SPEECH_LOGPROB = -0.6
# The bounds of openai-whisper on compression ratio and mean log probability.
_REPETITIVE = 2.4
_IMPROBABLE = -1.0
# Of 27 recordings in nine languages the fastest had 18; a sentence that was written twice had 31.
_MOST_CHARS_PER_S = 25.0

DENSE_SCRIPTS = {"zh", "ja", "yue", "ko"}


def is_repetitive(compression_ratio: float) -> bool:
    """Whether a text says the same again and again."""
    return compression_ratio > _REPETITIVE


def is_doubtful(*, compression_ratio: float, avg_logprob: float, no_speech_prob: float) -> bool:
    """Whether a text repeats itself or is improbable, and not because nobody speaks."""
    return is_repetitive(compression_ratio) or (avg_logprob < _IMPROBABLE and no_speech_prob <= _NO_SPEECH_PROB)


def is_of_silence(*, avg_logprob: float, no_speech_prob: float) -> bool:
    """Whether a text is what models write where nobody speaks."""
    return no_speech_prob > _NO_SPEECH_PROB and avg_logprob < _NO_SPEECH_LOGPROB


def is_crowded(text: str, seconds: float, language: str | None) -> bool:
    """Whether a text is longer than anybody can say in the time: in a short window models say things twice."""
    return len(text.strip()) > _MOST_CHARS_PER_S / (2 if language in DENSE_SCRIPTS else 1) * seconds
