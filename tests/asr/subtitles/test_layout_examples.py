"""The cues that a person would make, language by language."""

# ruff: noqa: RUF001 - the punctuation of other scripts

import pytest

from tests.asr.subtitles.speaking import speak, tokens_of
from voice_stack.asr.engine.base import Word
from voice_stack.asr.subtitles.cues import Cue
from voice_stack.asr.subtitles.layout import lay_out

Lines = list[tuple[str, ...]]


def lines_of(words: list[Word]) -> Lines:
    return [cue.lines for cue in lay_out(words, words[-1].end_s + 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "The city of St. Petersburg has about 5.6 million inhabitants today, and it remains one of the busiest "
            "ports on the Baltic Sea. Did you know that?",
            [
                ("The city of St. Petersburg", "has about 5.6 million inhabitants today,"),
                ("and it remains one of the busiest", "ports on the Baltic Sea."),
                ("Did you know that?",),
            ],
            id="english",
        ),
        pytest.param(
            "Wir treffen uns, wie gesagt, z. B. am 3. Oktober gern in der Hauptstadt und trinken dort einen Kaffee.",
            [
                ("Wir treffen uns, wie gesagt,",),
                ("z. B. am 3. Oktober gern in der Hauptstadt", "und trinken dort einen Kaffee."),
            ],
            id="german",
        ),
        pytest.param(
            "Portez ce vieux whisky au juge blond qui fume ; dites-lui « Bonjour ! » et demandez-lui l'heure, "
            "s'il vous plaît ?",
            [
                ("Portez ce vieux whisky", "au juge blond qui fume ;"),
                ("dites-lui « Bonjour ! » et demandez-lui", "l'heure, s'il vous plaît ?"),
            ],
            id="french-spaced-punctuation",
        ),
        pytest.param(
            "مرحبا بكم في هذا البرنامج الجديد، الذي نتحدث فيه عن تاريخ المدن العربية القديمة. هل تعرفون كم عمر دمشق؟",
            [
                ("مرحبا بكم في هذا البرنامج الجديد، الذي", "نتحدث فيه عن تاريخ المدن العربية القديمة."),
                ("هل تعرفون كم عمر دمشق؟",),
            ],
            id="arabic",
        ),
        pytest.param(
            "היום נדבר על ההיסטוריה של העיר ירושלים, שהיא אחת הערים העתיקות ביותר בעולם. האם ידעתם את זה?",
            [
                ("היום נדבר על ההיסטוריה של העיר ירושלים,", "שהיא אחת הערים העתיקות ביותר בעולם."),
                ("האם ידעתם את זה?",),
            ],
            id="hebrew",
        ),
        pytest.param(
            "It cost $1,250.50 plus 19 % tax on 12 May 2024 at 10:30, and the invoice has 1 000 000 lines.",
            [
                ("It cost $1,250.50 plus", "19 % tax on 12 May 2024 at 10:30,"),
                ("and the invoice has 1 000 000 lines.",),
            ],
            id="numbers",
        ),
        pytest.param(
            "The well-known state-of-the-art mother-in-law re-enters the two-thirds-empty coal-fired power station.",
            [
                ("The well-known state-of-the-art", "mother-in-law re-enters"),
                ("the two-thirds-empty", "coal-fired power station."),
            ],
            id="hyphens",
        ),
        pytest.param(
            "The address is https://example.org/a/very/long/path?with=a&query=string#and-a-fragment so write it down.",
            [
                ("The address", "is https://example.org/a/very/long/path?"),
                ("with=a&query=string#and-a-fragment", "so write it down."),
            ],
            id="a-word-longer-than-a-line",
        ),
    ],
)
def test_languages_with_spaces(text: str, expected: Lines) -> None:
    assert lines_of(speak(tokens_of(text))) == expected


@pytest.mark.parametrize(
    ("tokens", "chars_per_s", "expected"),
    [
        pytest.param(
            "今天|天气|很|好|，|我们|一起|去|公园|散步|吧|。|公园|里|有|很多|人|在|跑|步|、|打|太|极|拳|，|还有|一些|孩子|在|放|风|筝|。|"
            "2026|年|3|月|15|日|，|气|温|20|度|。",
            8.0,
            [
                ("今天天气很好，我们一起去公园散步吧。",),
                ("公园里有很多人在跑步、", "打太极拳，还有一些孩子在放风筝。"),
                ("2026年3月15日，气温20度。",),
            ],
            id="chinese",
        ),
        pytest.param(
            "今日|は|とても|いい|天気|です|ね|。|公園|を|散歩|し|ながら|、|新しい|コン|ピ|ュー|ター|について|話|し|まし|ょう|。|"
            "「|それ|は|素晴|らしい|」|と|彼|は|言|いました|。",
            8.0,
            [
                ("今日はとてもいい天気ですね。",),
                ("公園を散歩しながら、", "新しいコンピューターについて話しましょう。"),
                ("「それは素晴らしい」と彼は言いました。",),
            ],
            id="japanese",
        ),
        pytest.param(
            "สวัส|ดี|ครับ| วัน|นี้|เรา|จะ|มา|พูด|ถึง|ประวัติ|ศาสตร์|ของ|กรุง|เทพ|มหานคร| ซึ่ง|เป|็น|เมือง|หลวง|ของ|ประเทศ|ไทย",
            14.0,
            [
                ("สวัสดีครับ วันนี้เราจะมาพูด", "ถึงประวัติศาสตร์ของกรุงเทพมหานคร"),
                ("ซึ่งเป็นเมืองหลวงของประเทศไทย",),
            ],
            id="thai",
        ),
    ],
)
def test_languages_without_spaces(tokens: str, chars_per_s: float, expected: Lines) -> None:
    assert lines_of(speak(tokens.split("|"), chars_per_s=chars_per_s)) == expected


def test_speakers_who_pause_get_cues_of_their_own() -> None:
    times = [(0, 0.5), (0.5, 0.9), (0.9, 1.4), (2.6, 3.0), (4.2, 4.5), (4.5, 5.0), (5.2, 5.8)]
    texts = tokens_of("Are you ready? No. Wait for me.")
    words = [Word(start, end, text, 0.9) for (start, end), text in zip(times, texts, strict=True)]
    assert list(lay_out(words, 10.0)) == [
        Cue(0.0, 1.4, ("Are you ready?",)),
        Cue(2.6, 3.4, ("No.",)),
        Cue(4.2, 5.8, ("Wait for me.",)),
    ]


def test_a_small_gap_between_cues_is_closed_to_two_frames() -> None:
    words = speak(tokens_of("The first of these sentences fills the cue up. The second one comes right afterwards."))
    first, second = lay_out(words, 20.0)
    assert second.start_s - first.end_s == pytest.approx(0.084)


def test_a_last_line_is_never_only_a_number() -> None:
    words = speak(tokens_of("Die Donaudampfschifffahrtsgesellschaft, 1903"))
    assert lines_of(words) == [("Die", "Donaudampfschifffahrtsgesellschaft, 1903")]


def test_a_quick_exclamation_joins_its_neighbour() -> None:
    first = speak(tokens_of("If you ask me, nobody should have ever gone there before the long winter came."))
    quick = Word(first[-1].end_s, first[-1].end_s + 0.3, " No!", 0.9)
    then = "What I really wanted to say, and say loudly, is that they should listen to their mother."
    assert lines_of([*first, quick, *speak(tokens_of(then), start_s=quick.end_s)]) == [
        ("If you ask me, nobody should have ever", "gone there before the long winter came."),
        ("No! What I really wanted to say,", "and say loudly,"),
        ("is that they should", "listen to their mother."),
    ]


def test_a_cue_is_not_a_word_on_its_own() -> None:
    text = "Nobody in the world should have ever gone to that island before the winter came, sir."
    *_, last = lines_of(speak(tokens_of(text), chars_per_s=18))
    assert last != ("sir.",)
    assert len(" ".join(last).split()) > 3
