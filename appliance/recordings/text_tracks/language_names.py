"""The English names of languages, for the labels of text tracks. Pure. Source: ISO 639-1."""

from __future__ import annotations

_NAMES = """
aa Afar/ab Abkhazian/af Afrikaans/ak Akan/am Amharic/an Aragonese/ar Arabic/as Assamese/av Avaric
ay Aymara/az Azerbaijani/ba Bashkir/be Belarusian/bg Bulgarian/bi Bislama/bm Bambara/bn Bengali
bo Tibetan/br Breton/bs Bosnian/ca Catalan/ce Chechen/ch Chamorro/co Corsican/cr Cree/cs Czech
cv Chuvash/cy Welsh/da Danish/de German/dv Divehi/dz Dzongkha/ee Ewe/el Greek/en English
eo Esperanto/es Spanish/et Estonian/eu Basque/fa Persian/ff Fulah/fi Finnish/fj Fijian/fo Faroese
fr French/fy Western Frisian/ga Irish/gd Scottish Gaelic/gl Galician/gn Guarani/gu Gujarati/gv Manx
ha Hausa/he Hebrew/hi Hindi/ho Hiri Motu/hr Croatian/ht Haitian Creole/hu Hungarian/hy Armenian
hz Herero/ia Interlingua/id Indonesian/ie Interlingue/ig Igbo/ii Sichuan Yi/ik Inupiaq/io Ido
is Icelandic/it Italian/iu Inuktitut/ja Japanese/jv Javanese/ka Georgian/kg Kongo/ki Kikuyu
kj Kuanyama/kk Kazakh/kl Kalaallisut/km Khmer/kn Kannada/ko Korean/kr Kanuri/ks Kashmiri/ku Kurdish
kv Komi/kw Cornish/ky Kyrgyz/la Latin/lb Luxembourgish/lg Ganda/li Limburgish/ln Lingala/lo Lao
lt Lithuanian/lu Luba-Katanga/lv Latvian/mg Malagasy/mh Marshallese/mi Maori/mk Macedonian
ml Malayalam/mn Mongolian/mr Marathi/ms Malay/mt Maltese/my Burmese/na Nauru/nb Norwegian Bokmål
nd North Ndebele/ne Nepali/ng Ndonga/nl Dutch/nn Norwegian Nynorsk/no Norwegian/nr South Ndebele
nv Navajo/ny Nyanja/oc Occitan/oj Ojibwa/om Oromo/or Odia/os Ossetic/pa Punjabi/pi Pali/pl Polish
ps Pashto/pt Portuguese/qu Quechua/rm Romansh/rn Rundi/ro Romanian/ru Russian/rw Kinyarwanda
sa Sanskrit/sc Sardinian/sd Sindhi/se Northern Sami/sg Sango/si Sinhala/sk Slovak/sl Slovenian
sm Samoan/sn Shona/so Somali/sq Albanian/sr Serbian/ss Swati/st Southern Sotho/su Sundanese
sv Swedish/sw Swahili/ta Tamil/te Telugu/tg Tajik/th Thai/ti Tigrinya/tk Turkmen/tl Tagalog
tn Tswana/to Tongan/tr Turkish/ts Tsonga/tt Tatar/tw Twi/ty Tahitian/ug Uyghur/uk Ukrainian/ur Urdu
uz Uzbek/ve Venda/vi Vietnamese/vo Volapük/wa Walloon/wo Wolof/xh Xhosa/yi Yiddish/yo Yoruba
za Zhuang/zh Chinese/zu Zulu
"""
_NAME_OF = dict(
    entry.split(" ", 1) for line in _NAMES.strip().splitlines() for entry in line.split("/")
)


def language_name(lang: str) -> str:
    """Return the name of a canonical language tag: `pt-BR` -> `Portuguese (BR)`.

    The tag itself if its language has no two-letter code.
    """
    language, _, rest = lang.partition("-")
    name = _NAME_OF.get(language)
    if name is None:
        return lang
    return f"{name} ({rest})" if rest else name
