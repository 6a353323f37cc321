"""Which library tells the language of one to five words: Lingua (both of its modes) against langdetect.

Each runs in a process of its own, over the same phrases, with the same 17 candidates (the languages of XTTS-v2).
Languages with a script of their own among them need no library; "Latin" counts the other eleven alone. The last rows
are what the service uses, which would rather keep a language than go over to a wrong one: ``kept`` is how often it
stays with the right one, ``found`` how often it goes over to it from each of the others, ``wrong`` how often it goes
elsewhere, and ``names`` how often a name or a number makes it leave a language.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from voice_stack.utils.language.detect import LanguageDetector

LANGUAGES = "en es fr de it pt pl tr ru nl cs ar zh ja hu ko hi".split()  # noqa: SIM905
LATIN = [language for language in LANGUAGES if language not in {"ru", "ar", "zh", "ja", "ko", "hi"}]
PHRASES = Path(__file__).with_name("phrases.txt")
LIBRARIES = ("lingua", "lingua-low", "langdetect")
NAMES = "names"


def phrases() -> list[tuple[str, int, str]]:
    """Each phrase as (language, words, text); the language of what has none is `NAMES`."""
    found = []
    for line in PHRASES.read_text(encoding="utf-8").splitlines():
        head, colon, texts = line.partition(": ")
        if colon and not line.startswith("#"):
            language, words = head.split()
            found += [(language, int(words), text.strip()) for text in texts.split("|")]
    return found


def _lingua(*, low_accuracy: bool) -> Callable[[str], str | None]:
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = [getattr(IsoCode639_1, language.upper()) for language in LANGUAGES]
    builder = LanguageDetectorBuilder.from_iso_codes_639_1(*codes)
    model = (builder.with_low_accuracy_mode() if low_accuracy else builder).build()

    def detect(text: str) -> str | None:
        found = model.detect_language_of(text)
        return None if found is None else found.iso_code_639_1.name.lower()

    return detect


def _langdetect() -> Callable[[str], str | None]:
    from langdetect import DetectorFactory, detector_factory
    from langdetect.lang_detect_exception import LangDetectException

    DetectorFactory.seed = 0
    detector_factory.init_factory()
    likely = {("zh-cn" if language == "zh" else language): 1.0 for language in LANGUAGES}

    def detect(text: str) -> str | None:
        detector = detector_factory._factory.create()  # noqa: SLF001 - the only way to its candidates
        detector.set_prior_map(likely)
        detector.append(text)
        try:
            return str(detector.detect())[:2]
        except LangDetectException:
            return None

    return detect


def rss_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(library: str) -> dict[str, object]:
    """Accuracy by number of words, memory and time of one library; to be called in a fresh process."""
    rows = [row for row in phrases() if row[0] != NAMES]
    before = rss_mb()
    detect = _langdetect() if library == "langdetect" else _lingua(low_accuracy=library == "lingua-low")
    for language in LANGUAGES:  # load every model
        detect(next(text for spoken, words, text in rows if spoken == language and words == 5))
    started_at = time.perf_counter()
    right = [(words, language in LATIN, detect(text) == language) for language, words, text in rows]
    call_ms = (time.perf_counter() - started_at) / len(rows) * 1000
    return {
        "all": {words: percent(ok for count, _, ok in right if count == words) for words in range(1, 6)},
        "latin": {
            words: percent(ok for count, latin, ok in right if latin and count == words) for words in range(1, 6)
        },
        "rss_mb": round(rss_mb() - before),
        "call_ms": round(call_ms, 2),
    }


def percent(outcomes: Iterable[bool]) -> float:
    """The share of true ones."""
    values = list(outcomes)
    return round(100 * sum(values) / len(values), 1)


def ours() -> None:
    """Print how the service's detector does."""
    detector = LanguageDetector(LANGUAGES)
    rows = phrases()
    print("\nLanguageDetector")
    for words in range(1, 6):
        texts = [(language, text) for language, count, text in rows if count == words and language != NAMES]
        others = [(language, other, detector.detect(text, other)) for language, text in texts for other in LATIN]
        others = [found for found in others if found[0] != found[1]]
        print(
            f"  {words} words: without a default {percent(detector.detect(text) == code for code, text in texts)} %, "
            f"kept {percent(detector.detect(text, code) == code for code, text in texts)} %, "
            f"found {percent(found == code for code, _, found in others)} %, "
            f"wrong {percent(found not in {code, other} for code, other, found in others)} %"
        )
    names = [text for language, _, text in rows if language == NAMES]
    left = percent(detector.detect(text, language) != language for text in names for language in LATIN)
    print(f"  names: left in {left} % of {len(names) * len(LATIN)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=LIBRARIES, help="measure this one alone, in this process, and print JSON")
    library: str | None = parser.parse_args().library
    if library:
        print(json.dumps(measure(library)))
        return
    print(f"{len(phrases())} phrases; right, in %, by number of words")
    for name in LIBRARIES:
        command = [sys.executable, "-m", "benchmarks.language_detection", "--library", name]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        shares = f"all {list(found['all'].values())}   Latin {list(found['latin'].values())}"
        print(f"{name:11} {found['rss_mb']:4} MB  {found['call_ms']:5.2f} ms   {shares}")
    ours()


if __name__ == "__main__":
    main()
