"""Words as an engine would give them, made from text."""

# ruff: noqa: RUF001 - the punctuation of other scripts

from collections.abc import Sequence

from hypothesis import strategies as st

from voice_stack.asr.engine.base import Word

PAUSES_S = {".": 0.4, "?": 0.4, "!": 0.4, ",": 0.2, "。": 0.4, "、": 0.2, "，": 0.2}
VOCABULARY = {
    "english": " the| a| of| and| Dr.| Smith| said,| well| -known| harbour.| No.| 1| ,000| 50| %| don| 't"
    "| “| yes”|—| -",
    "german": " der| und| z.| B.| Straße,| 3.| Oktober| Rechtsschutzversicherungsgesellschaften| Ja."
    "| Donau| -dampfer",
    "chinese": "今天|天气|很|好|，|。|我们|《|书|》|2026|年|3|月|？| |ABC|（|）",
    "japanese": "今日|は|コン|ピュ|ーター|です|。|、|「|素晴|らしい|」|と|っ|て| 1|0",
    "thai": "สวัส|ดี|ครับ|วัน|นี้|เรา|จะ|ที|่|เ|ป็น| ซึ่ง|ๆ",
    "arabic": " مرحبا| بكم،| في| هذا| البرنامج.| هل؟| 5000| سَنَة",
    "hebrew": " שלום| לכולם,| העיר.| האם?| NASA| 12:30| בצה״ל| ל-70",
    "hindi": " नमस्ते| दुनिया।| क्ष|त्र| और| में| है",
    "korean": " 안녕하세요.| 저는| 학생| 입니다,| 그리고",
    "odd": " https://example.org/a/very/long/path?with=a&query=string#and-a-fragment| 👩\u200d👩\u200d👧| 🇩🇪"
    "|\n|\t|\u2028| |\0|…|---| a\n\nb| & < > -->| e\u0301\u0301\u0301|\ufeff| 7|  |...|?!",
}


def speak(tokens: Sequence[str], *, start_s: float = 0.0, chars_per_s: float = 14.0) -> list[Word]:
    """Say tokens at an even speed, with short pauses after punctuation."""
    words = []
    time_s = start_s
    for token in tokens:
        end_s = time_s + max(0.1, len(token) / chars_per_s)
        words.append(Word(round(time_s, 2), round(end_s, 2), token, 0.9))
        time_s = end_s + PAUSES_S.get(token[-1], 0.0)
    return words


def tokens_of(text: str, chars: int = 0) -> list[str]:
    """Whisper's words of a text: each with its leading space, or (``chars``) so many characters each."""
    if chars:
        return [text[place : place + chars] for place in range(0, len(text), chars)]
    return [f" {word}" for word in text.split()]


def token_lists(*, languages: Sequence[str] = tuple(VOCABULARY), max_size: int = 40) -> st.SearchStrategy[list[str]]:
    """Tokens of one language, or of all mixed."""
    choices = [st.sampled_from(VOCABULARY[language].split("|")) for language in languages]
    mixed = st.lists(st.one_of(choices), max_size=max_size)
    return st.one_of(mixed, *(st.lists(choice, max_size=max_size) for choice in choices))


@st.composite
def broken_words(draw: st.DrawFn) -> list[Word]:
    """Words with any times at all."""
    time = st.one_of(
        st.floats(-5, 40), st.sampled_from([0.0, 10.0, 1e9, -1e9, float("nan"), float("inf"), float("-inf")])
    )
    return [Word(draw(time), draw(time), token, 0.5) for token in draw(token_lists(max_size=30))]


@st.composite
def spoken_words(draw: st.DrawFn) -> list[Word]:
    """Words at a speed that people speak at, with pauses of up to three seconds."""
    words = []
    time_s = draw(st.floats(0, 3))
    for token in draw(token_lists()):
        time_s += draw(st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.1, 0.4, 0.9, 1.0, 1.3, 3.0]))
        end_s = time_s + max(0.1, len(token) / draw(st.floats(8, 20)))
        words.append(Word(time_s, end_s, token, 0.9))
        time_s = end_s
    return words
