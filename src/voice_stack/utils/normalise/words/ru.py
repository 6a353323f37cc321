"""Russian."""

# ruff: noqa: RUF001 - Cyrillic letters

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, numbered, pairs, table

_FORMS = {
    "я": "feminine",
    "ая": "feminine",
    "й": "masculine",
    "ый": "masculine",
    "ой": "masculine",
    "е": "neuter",
    "ое": "neuter",
    "го": "masculine-genitive",
    "ого": "masculine-genitive",
    "му": "masculine-dative",
    "ому": "masculine-dative",
    "м": "masculine-locative",
    "ом": "masculine-locative",
    "ую": "feminine-accusative",
    "год": "masculine",
    "года": "masculine-genitive",
    "г.": "masculine-genitive",
    "году": "masculine-locative",
    "годом": "masculine-ablative",
}
_PLACES = {1: ("десятая", "десятых"), 2: ("сотая", "сотых"), 3: ("тысячная", "тысячных")}


def _spoken(words: str) -> str:
    return words.removeprefix("одна ") if words.startswith("одна тысяча") else words


def _day(number: int, before: str) -> str:  # noqa: ARG001
    return numerals.ordinal(number, "ru", "neuter-genitive")


def _long_year(number: int) -> str:
    return _spoken(numerals.ordinal(number, "ru", "masculine-genitive")) + " года"


def _time(hours: int, minutes: int, before: str) -> str:  # noqa: ARG001
    hour = numerals.cardinal(hours, "ru")
    if not minutes:
        return f"{hour} {_counted(hours, 'час часа часов')}"
    return f"{hour} {'ноль ' if minutes < 10 else ''}{numerals.cardinal(minutes, 'ru')}"


def _counted(number: int, forms: str) -> str:
    one, few, many = forms.split()
    if number % 10 == 1 and number % 100 != 11:
        return one
    return few if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else many


def _ordinal(number: int, form: str) -> str:
    form = form.strip(" -")
    words = _spoken(numerals.ordinal(number, "ru", _FORMS.get(form, "masculine")))
    return f"{words} года" if form == "г." else words


def _decimals(whole: int, decimals: str) -> str:
    if len(decimals) not in _PLACES:
        return f"{numerals.cardinal(whole, 'ru')} запятая {numerals.digits(decimals, 'ru')}"
    part = int(decimals)
    one, many = _PLACES[len(decimals)]
    wholes = "целая" if _counted(whole, "1 2 5") == "1" else "целых"
    return (
        f"{numerals.cardinal(whole, 'ru', 'feminine')} {wholes} {numerals.cardinal(part, 'ru', 'feminine')} "
        f"{one if _counted(part, '1 2 5') == '1' else many}"
    )


def _gender(number: int, noun: str) -> str:
    if number % 10 == 1:
        if noun.endswith(("а", "я")):
            return "feminine"
        return "neuter" if noun.endswith(("о", "е")) else ""
    return "feminine" if number % 10 == 2 and noun.endswith(("ы", "и")) else ""


VOCABULARY = Vocabulary(
    language="ru",
    point="запятая",
    minus="минус",
    spaced_groups=True,
    signs=pairs(
        "&=и; +=плюс; @=собака; #=номер; №=номер; ×=умножить на; ÷=разделить на; ±=плюс-минус; ≈=примерно; ~=примерно; "
        "<=меньше; >=больше; ≤=не больше; ≥=не меньше; ≠=не равно; §=параграф; ©=копирайт; °=градусов; hashtag=хештег; "
        "*=умножить на; √=корень из; ∞=бесконечность; →=к; ‰=промилле; ²=в квадрате; ³=в кубе; /=дробь"
    )
    | {"=": "равно"},
    address=pairs(
        ".=точка; /=слэш; -=дефис; _=подчёркивание; @=собака; :=двоеточие; ?=вопросительный знак; &=и; #=решётка; "
        "~=тильда; %=процент"
    )
    | {"=": "равно"},
    to="до",
    abbreviations=pairs(
        "т.е.=то есть; т. е.=то есть; т.к.=так как; т. к.=так как; т.д.=так далее; т. д.=так далее; "
        "т.п.=тому подобное; т. п.=тому подобное; др.=другие; напр.=например; см.=смотри; г-н=господин; г-жа=госпожа; "
        "ул.=улица; пр.=прочее; им.=имени; тыс.=тысяч; млн=миллионов; млрд=миллиардов; тел.=телефон; проф.=профессор; "
        "акад.=академик; руб.=рублей; коп.=копеек; н.э.=нашей эры; н. э.=нашей эры; ок.=около; "
        "и т.д.=и так далее; и т. д.=и так далее"
    ),
    before_number=pairs(
        "стр.=страница; с.=страница; гл.=глава; рис.=рисунок; п.=пункт; ст.=статья; д.=дом; кв.=квартира; г.=год; "
        "т.=том"
    ),
    currencies=pairs(
        "USD=доллар доллара долларов|цент цента центов; EUR=евро евро евро|цент цента центов; "
        "GBP=фунт фунта фунтов|пенс пенса пенсов; RUB=рубль рубля рублей|копейка копейки копеек; JPY=иена иены иен; "
        "CNY=юань юаня юаней; CHF=франк франка франков|сантим сантима сантимов; PLN=злотый злотых злотых|грош гроша "
        "грошей"
    ),
    scales=pairs(
        "тысяча=тысяча; тысячи=тысячи; тысяч=тысяч; миллион=миллион; миллиона=миллиона; миллионов=миллионов; "
        "миллиард=миллиард; миллиарда=миллиарда; миллиардов=миллиардов; тыс=тысяч; млн=миллионов; млрд=миллиардов"
    ),
    months=numbered("янв=1; фев=2; апр=4; авг=8; сен=9; сент=9; окт=10; ноя=11; дек=12"),
    day=_day,
    long_year=_long_year,
    time=_time,
    ordinals=(
        r"(?P<n>[0-9]{1,4})(?P<form>-?(?:й|я|е|го|му|м|ая|ый|ой|ое|ого|ому|ом|ую))(?!\w)|"
        r"(?P<n2>[12][0-9]{3})(?P<form2> г\.)(?!\w)|(?P<n3>[12][0-9]{3})(?= (?P<form3>год(?:а|у|ом)?)(?!\w))"
    ),
    ordinal=_ordinal,
    fractions=pairs(
        "1/2=одна вторая; 1/3=одна треть; 2/3=две трети; 1/4=одна четверть; 3/4=три четверти; 1/5=одна пятая; "
        "1/10=одна десятая"
    ),
    gender=_gender,
    decimals=_decimals,
    roman=dict.fromkeys(table("Глава глава Том том Часть часть Акт"), "cardinal"),
    reign=lambda number: numerals.ordinal(number, "ru", "masculine"),
)
