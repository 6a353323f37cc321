"""Spanish."""

# ruff: noqa: RUF001 - signs

from voice_stack.utils.normalise import numerals
from voice_stack.utils.normalise.vocabulary import Vocabulary, numbered, pairs, table

_MASCULINE_IN_A = table("día días grama gramas programa programas problema problemas")


def _day(number: int, before: str) -> str:  # noqa: ARG001
    return numerals.cardinal(number, "es")


def _time(hours: int, minutes: int, before: str) -> str:  # noqa: ARG001
    hour = numerals.cardinal(hours, "es", "feminine")
    if minutes:
        return f"{hour} {'cero ' if minutes < 10 else ''}{numerals.cardinal(minutes, 'es')}"
    return f"{hour} en punto" if 1 <= hours <= 12 else f"{hour} horas"


def _ordinal(number: int, form: str) -> str:
    forms = {"ª": "feminine", "a": "feminine", "er": "masculine-adjective"}
    return numerals.ordinal(number, "es", forms.get(form, "masculine"))


def _reign(number: int) -> str:
    return numerals.ordinal(number, "es", "masculine") if number <= 10 else numerals.cardinal(number, "es")


def _gender(number: int, noun: str) -> str:
    if not noun or (number % 10 != 1 and number < 200):
        return ""
    feminine = noun.endswith(("a", "as", "ión", "iones", "dad", "dades")) and noun not in _MASCULINE_IN_A
    return "feminine" if feminine else "masculine"


VOCABULARY = Vocabulary(
    language="es",
    point="coma",
    minus="menos",
    spaced_groups=True,
    signs=pairs(
        "&=y; +=más; @=arroba; #=número; ×=por; ÷=dividido por; ±=más menos; ≈=aproximadamente; ~=aproximadamente; "
        "<=menor que; >=mayor que; ≤=como máximo; ≥=como mínimo; ≠=distinto de; §=sección; ©=copyright; °=grados; "
        "hashtag=hashtag; :=a; *=por; √=raíz de; ∞=infinito; →=a; ‰=por mil; ²=al cuadrado; ³=al cubo; /=barra"
    )
    | {"=": "igual a"},
    address=pairs(
        ".=punto; /=barra; -=guion; _=guion bajo; @=arroba; :=dos puntos; ?=signo de interrogación; &=y; "
        "#=almohadilla; "
        "~=tilde; %=por ciento"
    )
    | {"=": "igual"},
    to="a",
    abbreviations=pairs(
        "Sr.=señor; Sra.=señora; Srta.=señorita; Sres.=señores; Dr.=doctor; Dra.=doctora; Prof.=profesor; D.=don; "
        "Dña.=doña; Ud.=usted; Uds.=ustedes; Vd.=usted; Vds.=ustedes; etc.=etcétera; p. ej.=por ejemplo; "
        "p.ej.=por ejemplo; EE. UU.=Estados Unidos; EE.UU.=Estados Unidos; a. C.=antes de Cristo; d. C.=después de "
        "Cristo; "
        "a.C.=antes de Cristo; d.C.=después de Cristo; Avda.=avenida; aprox.=aproximadamente; tel.=teléfono; "
        "Tel.=teléfono; Sto.=Santo; Sta.=Santa"
    ),
    before_number=pairs(
        "n.º=número; nº=número; N.º=número; n°=número; núm.=número; pág.=página; págs.=páginas; p.=página; "
        "art.=artículo; cap.=capítulo; vol.=volumen; fig.=figura"
    ),
    currencies=pairs(
        "USD=dólar dólares|centavo centavos; EUR=euro euros|céntimo céntimos; GBP=libra libras|penique peniques; "
        "JPY=yen yenes; CNY=yuan yuanes; CHF=franco francos|céntimo céntimos; MXN=peso pesos|centavo centavos"
    ),
    minor_joiner="con",
    scales=pairs("mil=mil; millón=millón; millones=millones; billón=billón; billones=billones; M=millones"),
    of="de",
    months=numbered("ene=1; feb=2; abr=4; jun=6; jul=7; ago=8; sep=9; sept=9; oct=10; nov=11; dic=12; setiembre=9"),
    date="{day} de {month} de {year}",
    day=_day,
    time=_time,
    time_suffixes=r"horas?|hs?",
    ordinals=r"(?P<n>[0-9]{1,3})\.?(?P<form>[ºª°]|er(?!\w))",
    ordinal=_ordinal,
    fractions=pairs(
        "1/2=un medio; 1/3=un tercio; 2/3=dos tercios; 1/4=un cuarto; 3/4=tres cuartos; 1/5=un quinto; 2/5=dos "
        "quintos; "
        "3/5=tres quintos; 4/5=cuatro quintos; 1/10=un décimo"
    ),
    gender=_gender,
    roman=dict.fromkeys(table("Capítulo capítulo Tomo tomo Parte Acto siglo Siglo Título"), "cardinal"),
    reign=_reign,
    acronyms=table("UNESCO UNICEF COVID FIFA"),
)
