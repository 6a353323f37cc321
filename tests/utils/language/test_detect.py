import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from voice_stack.utils.language.detect import LanguageDetector

# Few languages: the models of all take seconds to load.
DETECTOR = LanguageDetector(["en-US", "de", "fr", "ar", "hi", "ja", "ko", "ru", "zh"])


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Das ist gut.", "de"),
        ("This is English.", "en"),
        ("Et voilà du français.", "fr"),
        ("Привет", "ru"),
        ("안녕", "ko"),
        ("مرحبا", "ar"),
        ("नमस्ते", "hi"),
        ("今日は良い天気です", "ja"),
        ("今天天气很好", "zh"),
        ("Der Termin ist am 3.5. um 14:30 Uhr, siehe https://example.com/the/page", "de"),
    ],
)
def test_a_language_is_told_whatever_was_expected(text: str, language: str) -> None:
    for expected in (None, "en", "de", "fr"):
        assert DETECTOR.detect(text, expected) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "OK",
        "...",
        "Anna",
        "Angela Merkel",
        "Johann Sebastian Bach",
        "https://example.com/some/page",
        "USA",
        "iPhone 15",
        "Ελλάδα",
    ],
)
def test_what_has_no_language_of_its_own_keeps_the_expected_one(text: str) -> None:
    for expected in (None, "en", "de", "fr"):
        assert DETECTOR.detect(text, expected) == expected


def test_chinese_signs_are_japanese_where_japanese_is_expected() -> None:
    assert DETECTOR.detect("明日", "ja") == "ja"
    assert DETECTOR.detect("明日", "en") == "zh"
    assert LanguageDetector(["en", "ja"]).detect("明日", "en") == "ja"


def test_one_language_in_a_script_needs_no_model() -> None:
    code = (
        "import sys; from voice_stack.utils.language.detect import LanguageDetector; "
        "d = LanguageDetector(['en', 'ru']); d.detect('Hello'); d.detect('Привет'); sys.exit('lingua' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_language_without_a_voice_is_never_told() -> None:
    assert LanguageDetector(["en", "fr"]).detect("Guten Morgen, wie geht es Ihnen heute?", "en") in {"en", "fr"}
    assert LanguageDetector(["en"]).detect("Доброе утро", "en") == "en"
    assert LanguageDetector([]).detect("Hello", "en") == "en"


def test_threads_may_share_a_detector() -> None:
    detector = LanguageDetector(["en", "de"])
    texts = ["This is the house", "Das ist das Haus"] * 20
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(detector.detect, texts)) == ["en", "de"] * 20
