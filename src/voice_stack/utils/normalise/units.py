"""Currencies and units of measure as they are written, by what CLDR calls them."""

# ruff: noqa: RUF001 - the signs of many languages are what this file is about

from voice_stack.utils.normalise.vocabulary import pairs, table

CURRENCY_SIGNS = pairs(
    "US$=USD; R$=BRL; C$=CAD; A$=AUD; $=USD; €=EUR; £=GBP; ¥=JPY; ￥=JPY; ₽=RUB; ₹=INR; ₩=KRW; ₺=TRY; zł=PLN; Kč=CZK; "
    "Ft=HUF; 元=CNY"
)
CURRENCY_CODES = table("USD EUR GBP JPY CNY CHF PLN RUB INR KRW TRY CZK HUF BRL CAD AUD MXN SEK NOK DKK UAH")


def _by_sign(signs: str) -> dict[str, str]:
    return {sign: unit for unit, written in pairs(signs).items() for sign in written.split("|")}


UNITS = _by_sign(
    "length-kilometer=km|км; length-meter=m|м; length-centimeter=cm|см; length-millimeter=mm|мм; "
    "length-micrometer=µm|μm; length-nanometer=nm; length-mile=mi; length-foot=ft; length-yard=yd; "
    "mass-kilogram=kg|кг; mass-gram=g|г; mass-milligram=mg; mass-tonne=t|т; mass-pound=lb|lbs; mass-ounce=oz; "
    "volume-liter=l|L|л; volume-milliliter=ml|mL|мл; volume-centiliter=cl; volume-deciliter=dl; "
    "area-square-meter=m²|m2|м²; area-square-kilometer=km²|km2; area-square-centimeter=cm²; area-hectare=ha|га; "
    "volume-cubic-meter=m³|m3|м³; volume-cubic-centimeter=cm³; "
    "speed-kilometer-per-hour=km/h|kph|kmh|km/u|км/ч; speed-mile-per-hour=mph; speed-meter-per-second=m/s|м/с; "
    "temperature-celsius=°C|° C|℃; temperature-fahrenheit=°F|° F|℉; angle-degree=°; "
    "digital-kilobyte=kB|KB; digital-megabyte=MB; digital-gigabyte=GB; digital-terabyte=TB; digital-petabyte=PB; "
    "digital-megabit=Mbit; digital-gigabit=Gbit; "
    "frequency-hertz=Hz; frequency-kilohertz=kHz; frequency-megahertz=MHz; frequency-gigahertz=GHz; "
    "power-watt=W; power-kilowatt=kW; power-megawatt=MW; power-gigawatt=GW; energy-kilowatt-hour=kWh; "
    "energy-kilocalorie=kcal; energy-kilojoule=kJ; electric-volt=V; electric-milliampere=mA; electric-ohm=Ω; "
    "pressure-hectopascal=hPa; pressure-bar=bar; "
    "duration-millisecond=ms; duration-second=sec; duration-minute=min|мин; duration-hour=h|hr|hrs|ч; "
    "graphics-pixel=px; graphics-dot-per-inch=dpi; concentr-percent=%; concentr-permille=‰"
)
UNITS_PER_SECOND = _by_sign(
    "digital-kilobyte=kB/s|KB/s; digital-megabyte=MB/s; digital-gigabyte=GB/s; digital-kilobit=kbps|kbit/s; "
    "digital-megabit=Mbps|Mbit/s|Mb/s; digital-gigabit=Gbps|Gbit/s"
)
