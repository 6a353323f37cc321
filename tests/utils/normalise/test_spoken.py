# ruff: noqa: RUF001 - the letters and signs of many languages are the point

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_stack.utils.normalise import normalise, plain_text

ENGLISH = {
    "The 1st, 2nd and 21st of 1,234,567 people.": "The first, second and twenty-first of one million two hundred "
    "thirty-four thousand five hundred sixty-seven people.",
    "3.14 and 0.05, but -7": "three point one four and zero point zero five, but minus seven",
    "In 1984, 2005 and 2024, the 1990s and the '80s.": "In nineteen eighty-four, two thousand five and twenty "
    "twenty-four, "
    "the nineteen nineties and the eighties.",
    "Pages 10-20, 1990–2000 and $10-20.": "Pages ten to twenty, nineteen ninety to two thousand and ten to twenty "
    "dollars.",
    "It costs $5.20, £3, €1,250.50 or ¥100.": "It costs five dollars and twenty cents, three pounds, one thousand two "
    "hundred fifty euros and fifty cents or one hundred yen.",
    "$5 million, $3.5bn and 20 USD": "five million dollars, three point five billion dollars and twenty dollars",
    "$1.01 or $0.99": "one dollar and one cent or ninety-nine cents",
    "50% or 99.9 %": "fifty percent or ninety-nine point nine percent",
    "On 2024-05-03 and 5/3/2024.": "On May third, twenty twenty-four and May third, twenty twenty-four.",
    "May 3rd, 2024, 3 May 2024 or Jan. 5": "May third, twenty twenty-four, May third, twenty twenty-four or January "
    "fifth",
    "On the 29th of February 2020, the 4 July and 5 October 1987": "On the twenty-ninth of February, twenty twenty, "
    "the fourth of July and October fifth, nineteen eighty-seven",
    "From Mon. to Fri. and on Sat. in Dec.": "From Monday to Friday and on Saturday in December.",
    "On Sun. he met Jan.": "On Sunday he met Jan.",
    "est. 1987, but an est. of it": "established nineteen eighty-seven, but an est. of it",
    "At 14:30, 10:05, 9:00 and 2:30 pm": "At fourteen thirty, ten oh five, nine o'clock and two thirty PM",
    "He left at 5 p.m.": "He left at five PM.",
    "5 km at 60 mph, 20 °C, -5 °C, 3 kg, 1 m²": "five kilometers at sixty miles per hour, twenty degrees Celsius, "
    "minus five "
    "degrees Celsius, three kilograms, one square meter",
    "150 million km, 2 m x 3 m": "one hundred fifty million kilometers, two meters by three meters",
    "10 MB/s and 5 GB": "ten megabytes per second and five gigabytes",
    "1/2, 3/4 and 2 1/2 cups, ½": "one half, three quarters and two and one half cups, one half",
    "Call +1 (555) 123-4567.": "Call plus one, five five five, one two three, four five six seven.",
    "Version 1.2.3 or v2.0": "Version one point two point three or version two point zero",
    "Louis XIV and Henry VIII in Chapter IV": "Louis the fourteenth and Henry the eighth in Chapter four",
    "I am Vitamin C, said Mix.": "I am Vitamin C, said Mix.",
    "Dr. Smith of Mulholland Dr. met Mr. X in St. Louis.": "Doctor Smith of Mulholland Drive met Mister X in Saint "
    "Louis.",
    "Apples, e.g. red ones, etc.": "Apples, for example red ones, et cetera.",
    "No. 5, p. 12": "number five, page twelve",
    "STOP THAT NOW! NASA and the USA agree.": "Stop that now! NASA and the USA agree.",
    "This is a HUGE, ENORMOUS success.": "This is a huge, enormous success.",
    "Press the RED one, NOT the LED.": "Press the red one, not the LED.",
    "See https://www.example.com/docs/a_b?x=1.": "See example dot com slash docs slash a underscore b question mark "
    "x equals "
    "one.",
    "Mail john.doe@example.com, please": "Mail john dot doe at example dot com, please",
    "#WinningTeam by @john_doe & co": "hashtag Winning Team by at john doe and co",
    "5 + 3 × 2 = 11": "five plus three times two equals eleven",
    "MP3, H2O and COVID-19": "MP three, H two O and COVID nineteen",
    "Agent 007": "Agent zero zero seven",
    "3:2 for us, 24/7": "three to two for us, twenty-four seven",
    "and/or C++, C#": "and or C plus plus, C sharp",
    "- a list item": "a list item",
    "1,2,3": "one,two,three",
}
GERMAN = {
    "Das kostet 5,20 € oder 1.250,50 EUR.": "Das kostet fünf Euro zwanzig oder eintausendzweihundertfünfzig Euro "
    "fünfzig.",
    "3 Mio. Euro, 1.000.000 Menschen": "drei Millionen Euro, eine Million Menschen",
    "Am 3. Mai 2024 um 14:30 Uhr": "Am dritten Mai zweitausendvierundzwanzig um vierzehn Uhr dreißig",
    "03.05.24, der 2. Weltkrieg im 19. Jahrhundert": "dritter Mai zweitausendvierundzwanzig, der zweite Weltkrieg im "
    "neunzehnten Jahrhundert",
    "Es ist z.B. Dr. Müller, d.h. ca. 5 km entfernt usw.": "Es ist zum Beispiel Doktor Müller, das heißt circa fünf "
    "Kilometer entfernt und so weiter.",
    "1984 waren es 3,14 bei 20 °C und 50 %": "neunzehnhundertvierundachtzig waren es drei Komma eins vier bei "
    "zwanzig Grad "
    "Celsius und fünfzig Prozent",
    "10-20 Leute, 1 Stunde, Nr. 3": "zehn bis zwanzig Leute, eine Stunde, Nummer drei",
    "Ludwig XIV. kam": "Ludwig der Vierzehnte kam",
}
FRENCH = {
    "Elle fait 25 000 km.": "Elle fait vingt-cinq mille kilomètres.",
    "Ça coûte 5,20 € ou 1 250,50 EUR.": "Ça coûte cinq euros vingt ou mille deux cent cinquante euros cinquante.",
    "Le 1er mai 2024 à 14h30": "Le premier mai deux mille vingt-quatre à quatorze heures trente",
    "03/05/2024": "trois mai deux mille vingt-quatre",
    "M. Dupont et Mme Durand, 2e étage, n° 5": "Monsieur Dupont et Madame Durand, deuxième étage, numéro cinq",
    "Louis XIV, 3,14, 50 %, 21 heures": "Louis quatorze, trois virgule quatorze, cinquante pour cent, vingt-et-une "
    "heures",
    "2 millions d'euros, 5 M€": "deux millions d'euros, cinq millions d'euros",
}
SPANISH = {
    "Cuesta 5,20 € o 1.250 dólares.": "Cuesta cinco euros con veinte céntimos o mil doscientos cincuenta dólares.",
    "El 3 de mayo de 2024 a las 14:30": "El tres de mayo de dos mil veinticuatro a las catorce treinta",
    "El Sr. García, 2.º piso, 21 horas, 31 días": "El señor García, segundo piso, veintiuna horas, treinta y un días",
    "50 % en el siglo XIX": "cincuenta por ciento en el siglo diecinueve",
}
ITALIAN = {
    "Costa 5,20 €.": "Costa cinque euro e venti centesimi.",
    "Il 3 maggio 2024 alle 14:30; il 1º posto": "Il tre maggio duemilaventiquattro alle quattordici e trenta; il "
    "primo posto",
    "Il Sig. Rossi abita a 5 km.": "Il signor Rossi abita a cinque chilometri.",
}
PORTUGUESE = {
    "Custa R$ 5,20 ou 2 €.": "Custa cinco reais e vinte centavos ou dois euros.",
    "Em 3 de maio de 2024 às 14h30": "Em três de maio de dois mil e vinte e quatro às catorze e trinta",
    "O Sr. Silva mora a 5 km; 2 horas, 50%": "O senhor Silva mora a cinco quilômetros; duas horas, cinquenta por cento",
}
DUTCH = {
    "Het kost € 5,20.": "Het kost vijf euro twintig.",
    "Op 3 mei 1984 om 14:30 uur": "Op drie mei negentienvierentachtig om veertien uur dertig",
    "Dhr. Jansen woont op 5 km, d.w.z. 50%": "De heer Jansen woont op vijf kilometer, dat wil zeggen vijftig procent",
}
POLISH = {
    "To kosztuje 5,20 zł i 2 zł, 22 dolary.": "To kosztuje pięć złotych dwadzieścia groszy i dwa złote, dwadzieścia "
    "dwa dolary.",
    "3 maja 2024 r. o 14:30, w 1990 roku": "trzeciego maja dwa tysiące dwudziestego czwartego roku o czternastej "
    "trzydzieści, "
    "w tysiąc dziewięćset dziewięćdziesiątym roku",
    "12000 km i 5 mln km": "dwanaście tysięcy kilometrów i pięć milionów kilometrów",
    "Mam np. 5 km, 2 minuty i 50%": "Mam na przykład pięć kilometrów, dwie minuty i pięćdziesiąt procent",
}
RUSSIAN = {
    "Это стоит 5,20 ₽, 1 рубль и 22 $.": "Это стоит пять рублей двадцать копеек, один рубль и двадцать два доллара.",
    "3 мая 2024 года в 14:30, в 1990 году": "третьего мая две тысячи двадцать четвертого года в четырнадцать "
    "тридцать, в "
    "тысяча девятьсот девяностом году",
    "Это 5-й, т.е. 5 км, 3,14 и 21 книга": "Это пятый, то есть пять километров, три целых четырнадцать сотых и "
    "двадцать одна "
    "книга",
}
FULL = {
    "en": ENGLISH,
    "de": GERMAN,
    "fr": FRENCH,
    "es": SPANISH,
    "it": ITALIAN,
    "pt": PORTUGUESE,
    "nl": DUTCH,
    "pl": POLISH,
    "ru": RUSSIAN,
}
NUMBERS_ONLY = {
    "tr": {"5 km, 3,14": "beş kilometre, üç virgül on dört", "50%": "yüzde elli"},
    "cs": {"5 km a 50 %, 3. května": "pět kilometrů a padesát procent, 3. května"},
    "hu": {"5 km és 50%": "öt kilométer és ötven százalék"},
    "ar": {"٣٫١٤ و 50%": "ثلاثة فاصلة واحد أربعة و خمسون بالمئة"},
    "zh": {"我有5个苹果，2024年5月3日，50%。": "我有五个苹果，二零二四年五月三日，百分之五十。"},
    "ja": {"5月3日、3.14": "五月三日、三点一四"},
    "ko": {"3.14, 50%": "삼 점 일 사, 오십 퍼센트"},
    "hi": {"५ किमी 50%": "पाँच किमी पचास प्रतिशत"},
}
CASES = [
    (language, written, spoken)
    for language, table in (FULL | NUMBERS_ONLY).items()
    for written, spoken in table.items()
]


@pytest.mark.parametrize(("language", "written", "spoken"), CASES)
def test_text_is_read_as_a_person_would(language: str, written: str, spoken: str) -> None:
    assert normalise(written, language) == spoken


@pytest.mark.parametrize(("language", "spoken"), [(language, spoken) for language, _, spoken in CASES])
def test_what_is_words_already_stays(language: str, spoken: str) -> None:
    if not re.search(r"[0-9%]|PM", spoken):
        assert normalise(spoken, language) == spoken


def test_a_language_may_be_a_tag() -> None:
    assert normalise("5 km", "en-US") == normalise("5 km", "en_GB") == "five kilometers"


@pytest.mark.parametrize("language", [None, "sv", "xx", ""])
def test_text_in_an_unknown_language_stays_as_it_is(language: str | None) -> None:
    assert normalise("Det kostar 5 kr & mer.", language) == "Det kostar 5 kr & mer."


LANGUAGES = st.sampled_from([*FULL, *NUMBERS_ONLY, "sv"])
PIECES = st.sampled_from(
    [
        "1",
        "12",
        "0",
        "00",
        "31",
        "99",
        "1990",
        "2024",
        ".",
        ",",
        ":",
        "/",
        "-",
        "–",
        "€",
        "$",
        "£",
        "%",
        "°",
        "C",
        "km",
        "h",
        "s",
        "Uhr",
        "May",
        "Mai",
        "мая",
        "de",
        "am",
        "der",
        "Louis",
        "XIV",
        "IV",
        "I",
        "@",
        "#",
        "a.b",
        ".com",
        "http://",
        "www.",
        "+",
        "(",
        ")",
        "1/2",
        "½",
        "²",
        "_",
        "*",
        "**",
        "`",
        "[",
        "]",
        "|",
        "<",
        ">",
        "&",
        "&amp;",
        "et",
        "٣",
        "五",
        "HELLO",
        "NASA",
        "Dr.",
        "e.g.",
        "St.",
        "p.m.",
        "PM",
        "st",
        "nd",
        "º",
        "\n",
        "\xa0",
        "�",
        "é",
        "’",
        '"',
        "=",
        "~",
        "×",
        "−",
        "й",
        "году",
        "г.",
    ]
)
MESS = st.one_of(
    st.text(max_size=80), st.lists(PIECES, max_size=15).map("".join), st.lists(PIECES, max_size=15).map(" ".join)
)
WORDS = st.lists(
    st.text(alphabet="abcdefghijklmnopqrstuvwxyzäöüßéèñçłżабвгдеж", min_size=3, max_size=9), min_size=1, max_size=20
)


@settings(deadline=None, max_examples=300)
@given(MESS, LANGUAGES)
def test_no_text_is_too_strange(text: str, language: str) -> None:
    assert isinstance(normalise(plain_text(text), language), str)


@settings(deadline=None, max_examples=150)
@given(WORDS, st.lists(st.sampled_from([" ", ", ", "; ", ": ", " - ", " – ", '" ', ") "]), min_size=20), LANGUAGES)
def test_words_without_figures_come_out_as_they_went_in(words: list[str], gaps: list[str], language: str) -> None:
    text = "".join(word + gap for word, gap in zip(words, gaps, strict=False))
    assert re.findall(r"\w+", normalise(plain_text(text), language)) == words


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**14), st.sampled_from(sorted(FULL)))
def test_no_figure_is_left(number: int, language: str) -> None:
    assert not re.search(r"\d", normalise(f"{number} und {number}.", language))


N = 20_000
# Sized so that anything quadratic would take minutes.
ADVERSARIAL = {
    "digits": "1" * N,
    "groups": "111 " * N,
    "dots": "1." * N,
    "commas": "1," * N,
    "ranges": "1-" * N,
    "times": "1:" * N,
    "slashes": "1/" * N,
    "hosts": "a." * N,
    "a long host": "a" * N + ".com",
    "addresses": "a@" * N,
    "paths": "https://a" + "/b" * N,
    "phones": "+1" + " 23" * N,
    "brackets": "[a](" * N,
    "images": "![" * N,
    "stars": "*a" * N,
    "tags": "<a " * N,
    "comments": "<!--" * N,
    "entities": "&a" * N,
    "capitals": "AB " * N,
    "months": "1 de " * N,
    "articles": "der 5 " * N,
    "monarchs": "Louis X " * N,
    "rules": "-|" * N + "x",
    "spaces": " " * N,
}


@pytest.mark.parametrize("text", ADVERSARIAL.values(), ids=ADVERSARIAL.keys())
def test_long_hostile_text_takes_linear_time(text: str) -> None:
    assert normalise(plain_text(text), "de") is not None
