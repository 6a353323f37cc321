# ruff: noqa: RUF001 - the letters and punctuation of other scripts are the point

import pytest

from voice_stack.utils.text import split_text


def chunks(text: str, max_chars: int = 180) -> list[str]:
    return [chunk.text for chunk in split_text(text, max_chars)]


SENTENCES = {
    "en": ["The cat sat on the mat.", "Where did the dog go?", "It ran away!"],
    "de": ["Das Wetter ist heute schön.", "Wohin gehst du denn?", "Ich komme mit!"],
    "fr": ["Il fait très beau aujourd'hui.", "Où est-ce que tu vas ?", "Je viens avec toi !"],
    "es": ["El perro duerme en la casa.", "¿Dónde está la estación?", "¡Qué bonito día hace!"],
    "it": ["Il gatto dorme sul divano.", "Dove stai andando adesso?", "Che bella giornata!"],
    "pt": ["O menino comeu uma maçã.", "Você já almoçou hoje?", "Que coisa incrível!"],
    "pl": ["Kot śpi na kanapie.", "Dokąd teraz idziesz?", "Zaraz wracam do domu!"],
    "ru": ["Кошка спит на диване.", "Куда ты сейчас идёшь?", "Как здесь красиво!"],
    "el": ["Η γάτα κοιμάται τώρα.", "Πού πηγαίνεις σήμερα;", "Τι όμορφη μέρα!"],
    "tr": ["Kedi kanepede uyuyor.", "Şimdi nereye gidiyorsun?", "Ne güzel bir gün!"],
    "ar": ["القطة تنام على الأريكة.", "إلى أين أنت ذاهب الآن؟", "يا له من يوم جميل!"],
    "hi": ["बिल्ली सोफे पर सो रही है।", "तुम अभी कहाँ जा रहे हो?", "कितना सुंदर दिन है॥"],
    "hy": ["Կատուն քնած է բազմոցին։", "Այսօր գեղեցիկ օր է։"],
    "am": ["ድመቷ ሶፋው ላይ ተኝታለች።", "ዛሬ ቆንጆ ቀን ነው።"],
    "ko": ["고양이가 소파에서 자고 있어요.", "지금 어디로 가고 있어요?", "정말 아름다운 날이네요!"],
}
UNSPACED_SENTENCES = {
    "zh": ["今天的天气非常好。", "你现在要去哪里？", "这里真的太漂亮了！", "我不知道……", "然后我们回家了。"],
    "ja": ["今日はとても良い天気です。", "どこへ行くのですか？", "本当にきれいですね！"],
    "zh with ASCII marks": ["今天的天气非常好.", "你现在要去哪里?", "这里真的太漂亮了!"],
}


@pytest.mark.parametrize("sentences", SENTENCES.values(), ids=SENTENCES.keys())
def test_each_sentence_is_one_chunk(sentences: list[str]) -> None:
    assert chunks(" ".join(sentences)) == sentences


@pytest.mark.parametrize("sentences", UNSPACED_SENTENCES.values(), ids=UNSPACED_SENTENCES.keys())
def test_sentences_without_a_space_between_them_are_chunks_too(sentences: list[str]) -> None:
    assert chunks("".join(sentences)) == sentences


@pytest.mark.parametrize(
    "sentence",
    [
        "Then Dr. Smith met Mrs. Jones, Prof. Brown and St. Nicholas.",
        "Some fruit, e.g. Apples or i.e. Pears, was there.",
        "The U.S. Army came at 5 p.m. on Friday with Sen. Hill.",
        "A book by J. R. R. Tolkien and John F. Kennedy was sold.",
        "It is in No. 5, see Fig. 3 and pp. 12 of vol. 2 there.",
        "On Jan. 5 it costs $5.00, or 3.14, or 1,000,000 at 12:30 on 2024-05-01.",
        "Version v1.2.3 runs on 192.168.0.1 with 3,14 percent.",
        "Smith vs. Jones went to Apple Inc. Headquarters approx. Ten times.",
        "See https://example.com/a.b?c=d!e or mail first.last@example.co.uk about it.",
        "Er wohnt in Haus Nr. 5, z.B. Das rote, d. h. Die Tür links, bzw. Rechts.",
        "Am 3. Mai begann der 2. Weltkrieg nicht, und Ludwig XIV. war dabei.",
        "La Sra. García y el Dr. Pérez viven en la pág. 5 del libro.",
        "Это напр. Москва и ул. Ленина, т. е. Центр города.",
        'He said "Go!" and left.',
        "They shouted (really loud!) and left.",
        "« Arrêtez ! » dit-il à tous.",
        "«Стой!» — крикнул он.",
        "«Стойте сейчас же!» — Иван крикнул это всем.",
        "「ここから早く出て行け！」と彼は大きな声で言った。",
        "Wait... what did you say… just now?",
    ],
)
def test_what_only_looks_like_an_end_does_not_end_a_sentence(sentence: str) -> None:
    assert chunks(sentence) == [sentence]
    assert chunks(f"{sentence} The next one follows.") == [sentence, "The next one follows."]


@pytest.mark.parametrize(
    "sentences",
    [
        ['She said "Stop."', "Then she left."],
        ["She said “Stop it now.”", "Then she left."],
        ["Er rief: „Halt sofort!“", "Dann ging er."],
        ["Il a dit : « Assez. »", "Puis il est parti."],
        ["他说：“我们走吧！”", "然后他走了很远。"],
        ["We left (it was late).", "Nobody minded that."],
        ["We met at 5 p.m.", "The shop was closed."],
        ["He lives in the U.S.", "His wife does too."],
        ["It is on Main St.", "They sell apples, pears, etc.", "You can go there."],
        ["No.", "I will certainly not go there, whatever you tell me about it."],
        ["You have 5.", "We have many more than that."],
        ["Really?!", "I cannot believe that at all, my dear old friend..."],
        ["what is this!", "oh no, it is broken."],
        ["What a surprise!!!", "Nobody expected it."],
        ["And then...", "Nothing happened at all."],
        ["Is it https://example.com/a?b=c?", "Yes, I think so."],
        ["¡Hola, amigos!", "¿Cómo están todos hoy?"],
        ["The U.S. Senate met.", "J. Smith did not come."],
    ],
    ids=lambda sentences: sentences[0],
)
def test_quotes_and_abbreviations_at_an_end_stay_with_their_sentence(sentences: list[str]) -> None:
    assert chunks(" ".join(sentences), max_chars=max(map(len, sentences))) == sentences
