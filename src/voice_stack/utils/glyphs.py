"""What is read as one character though it is several code points, and how wide it is."""

import unicodedata

from voice_stack.utils.sentence_ends import OPENERS

# Small kana, length and iteration marks, and the Thai and Lao vowels and signs written after their consonant.
_NEVER_FIRST = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶーゝゞヽヾ々〻" "ะาำๅๆฯະາຳໆຽ")
_NEVER_LAST = frozenset("เแโใไເແໂໃໄ\u200d")
_VIRAMA_CLASS = 9


def belong_together(before: str, after: str) -> bool:
    """Whether a cut between two neighbouring code points would part what is read as one character."""
    return (
        before in _NEVER_LAST
        or before in OPENERS
        or after in _NEVER_FIRST
        or after in "\u200c\u200d"
        or unicodedata.category(after)[0] == "M"
        or unicodedata.combining(before) == _VIRAMA_CLASS  # the next consonant is joined
        or "\u1160" <= after <= "\u11ff"  # Hangul vowels and finals
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tones
        or ("\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= after <= "\U0001f1ff")  # flags
    )


def columns(text: str) -> int:
    """How wide a text is on a screen: 2 for each full-width character (Unicode TR 11), 1 for every other.

    Marks that stand above or below a letter count too, so that no text is longer than its columns.
    """
    return len(text) + sum(unicodedata.east_asian_width(char) in "WF" for char in text)
