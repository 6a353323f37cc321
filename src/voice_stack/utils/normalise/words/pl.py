"""Polish."""

# ruff: noqa: RUF001 - signs

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, numbered, pairs, table

# CLDR has no Polish ordinals: these are their stems, which take -y or -i, -ego, -a.
_STEMS = """
    zerow pierwsz drug trzec czwart piąt szóst siódm ósm dziewiąt dziesiąt jedenast dwunast trzynast czternast piętnast
    szesnast siedemnast osiemnast dziewiętnast
""".split()  # noqa: SIM905
_TENS = """
    dwudziest trzydziest czterdziest pięćdziesiąt sześćdziesiąt siedemdziesiąt osiemdziesiąt dziewięćdziesiąt
""".split()  # noqa: SIM905
_ENDINGS = {
    "nominative": ("y", "i"),
    "genitive": ("ego", "iego"),
    "locative": ("ym", "im"),
    "feminine": ("a", "ia"),
    "feminine-locative": ("ej", "iej"),
}
_BEFORE_LOCATIVE = table("o po od do przed około")


def _word(number: int, form: str) -> str:
    hard, soft = _ENDINGS[form]
    stem = _STEMS[number]
    if number == 3:
        return f"{stem}{soft}"
    if number == 2:
        return f"{stem}{hard if form.startswith('feminine') else soft}"
    return f"{stem}{hard}"


def ordinal(number: int, form: str) -> str:
    """The ordinal of a number in a form of `_ENDINGS`; of hundreds only what follows them is one."""
    above, below = divmod(number, 100)
    if below == 0 and number:
        return numerals.cardinal(number, "pl")
    if below < 20:
        words = [_word(below, form)]
    else:
        words = [_TENS[below // 10 - 2] + _ENDINGS[form][0]]
        words += [_word(below % 10, form)] if below % 10 else []
    return " ".join([numerals.cardinal(above * 100, "pl"), *words] if above else words)


def _day(number: int, before: str) -> str:  # noqa: ARG001
    return ordinal(number, "genitive")


def _long_year(number: int) -> str:
    return ordinal(number, "genitive") + " roku"


def _time(hours: int, minutes: int, before: str) -> str:
    hour = ordinal(hours, "feminine-locative" if before.lower() in _BEFORE_LOCATIVE else "feminine")
    if not minutes:
        return hour
    return f"{hour} {'zero ' if minutes < 10 else ''}{numerals.cardinal(minutes, 'pl')}"


def _ordinal(number: int, form: str) -> str:
    if form.strip() == "r.":
        return _long_year(number)
    if form:
        return ordinal(number, "locative")
    return ordinal(number, "genitive" if number >= 1000 else "nominative")


def _gender(number: int, noun: str) -> str:
    if noun in {
        "minuty",
        "godziny",
        "sekundy",
        "tony",
        "mile",
        "kalorie",
        "uncje",
        "mila",
        "minuta",
        "godzina",
        "sekunda",
    }:
        return "feminine"
    return "feminine" if number == 1 and noun.endswith("a") else ""


VOCABULARY = Vocabulary(
    language="pl",
    point="przecinek",
    minus="minus",
    spaced_groups=True,
    signs=pairs(
        "&=i; +=plus; @=małpa; #=numer; ×=razy; ÷=podzielić przez; ±=plus minus; ≈=około; ~=około; <=mniejsze niż; "
        ">=większe niż; ≤=najwyżej; ≥=co najmniej; ≠=różne od; §=paragraf; ©=copyright; °=stopni; hashtag=hasztag; "
        "*=razy; √=pierwiastek z; ∞=nieskończoność; →=do; ‰=promili; ²=do kwadratu; ³=do sześcianu; /=ukośnik"
    )
    | {"=": "równa się"},
    address=pairs(
        ".=kropka; /=ukośnik; -=myślnik; _=podkreślenie; @=małpa; :=dwukropek; ?=znak zapytania; &=i; #=kratka; "
        "~=tylda; %=procent"
    )
    | {"=": "równa się"},
    to="do",
    abbreviations=pairs(
        "np.=na przykład; itd.=i tak dalej; itp.=i tym podobne; m.in.=między innymi; tzn.=to znaczy; tj.=to jest; "
        "tzw.=tak zwany; dr=doktor; dr.=doktora; prof.=profesor; mgr=magister; inż.=inżynier; ul.=ulica; al.=aleja; "
        "św.=święty; godz.=godzina; ok.=około; tys.=tysięcy; mln=milionów; mld=miliardów; zob.=zobacz; por.=porównaj; "
        "p.n.e.=przed naszą erą; n.e.=naszej ery; tel.=telefon; ww.=wyżej wymieniony; wg=według"
    ),
    before_number=pairs(
        "nr=numer; Nr=numer; nr.=numer; str.=strona; s.=strona; art.=artykuł; rozdz.=rozdział; rys.=rysunek; "
        "pkt=punkt; t.=tom"
    ),
    currencies=pairs(
        "USD=dolar dolary dolarów|cent centy centów; EUR=euro euro euro|cent centy centów; "
        "GBP=funt funty funtów|pens pensy pensów; PLN=złoty złote złotych|grosz grosze groszy; JPY=jen jeny jenów; "
        "CHF=frank franki franków|centym centymy centymów; RUB=rubel ruble rubli|kopiejka kopiejki kopiejek"
    ),
    scales=pairs(
        "tysiąc=tysiąc; tysiące=tysiące; tysięcy=tysięcy; milion=milion; miliony=miliony; milionów=milionów; "
        "miliard=miliard; miliardy=miliardy; miliardów=miliardów; tys=tysięcy; mln=milionów; mld=miliardów"
    ),
    months=numbered("sty=1; lut=2; kwi=4; cze=6; lip=7; sie=8; wrz=9; paź=10; lis=11; gru=12"),
    day=_day,
    long_year=_long_year,
    time=_time,
    ordinals=(
        r"(?P<n>[12][0-9]{3})(?P<form> r\.)(?!\w)|(?:(?P<form2>\b[wW]) )?(?P<n2>[12][0-9]{3})(?= roku(?!\w))|"
        r"(?P<n3>[0-9]{1,3})\.(?= [a-ząćęłńóśźż])"
    ),
    ordinal=_ordinal,
    fractions=pairs(
        "1/2=jedna druga; 1/3=jedna trzecia; 2/3=dwie trzecie; 1/4=jedna czwarta; 3/4=trzy czwarte; 1/10=jedna "
        "dziesiąta"
    ),
    gender=_gender,
    roman=dict.fromkeys(table("Rozdział rozdział Tom tom Część część Akt"), "cardinal"),
    reign=lambda number: ordinal(number, "nominative"),
    acronyms=table("UNESCO UNICEF COVID FIFA"),
)
