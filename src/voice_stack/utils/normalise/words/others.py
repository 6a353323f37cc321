"""Languages of which only numbers, units and a few signs are known."""

# ruff: noqa: RUF001 - letters of many languages

from voice_stack.utils.normalise.vocabulary import Vocabulary, pairs

OTHERS = {
    "tr": Vocabulary(
        "tr",
        point="virgül",
        minus="eksi",
        to="ila",
        signs=pairs("&=ve; +=artı; @=et; hashtag=etiket; %=yüzde {}") | {"=": "eşittir"},
    ),
    "cs": Vocabulary(
        "cs",
        point="celá",
        minus="minus",
        spaced_groups=True,
        to="až",
        signs=pairs("&=a; +=plus; @=zavináč; hashtag=hashtag") | {"=": "rovná se"},
    ),
    "hu": Vocabulary(
        "hu",
        point="egész",
        minus="mínusz",
        spaced_groups=True,
        signs=pairs("&=és; +=plusz; @=kukac; hashtag=hashtag") | {"=": "egyenlő"},
    ),
    "ar": Vocabulary(
        "ar",
        point="فاصلة",
        minus="ناقص",
        decimal_mark=".",
        to="إلى",
        signs=pairs("&=و; +=زائد; %={} بالمئة") | {"=": "يساوي"},
        single_decimals=True,
    ),
    "hi": Vocabulary(
        "hi",
        point="दशमलव",
        minus="माइनस",
        decimal_mark=".",
        to="से",
        signs=pairs("&=और; +=प्लस; %={} प्रतिशत") | {"=": "बराबर"},
        single_decimals=True,
    ),
    "zh": Vocabulary(
        "zh",
        point="点",
        minus="负",
        decimal_mark=".",
        to="到",
        signs=pairs("&=和; +=加; %=百分之{}") | {"=": "等于"},
        single_decimals=True,
    ),
    "ja": Vocabulary(
        "ja",
        point="点",
        minus="マイナス",
        decimal_mark=".",
        to="から",
        signs=pairs("&=と; +=プラス; %={}パーセント") | {"=": "イコール"},
        single_decimals=True,
    ),
    "ko": Vocabulary(
        "ko",
        point="점",
        minus="마이너스",
        decimal_mark=".",
        to="에서",
        signs=pairs("&=와; +=더하기; %={} 퍼센트") | {"=": "는"},
        single_decimals=True,
    ),
}
