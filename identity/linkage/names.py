"""Thai names made comparable: cleaned, written in Latin letters, and cut down to their consonants.

The Latin form follows the Royal Institute's general system of 2542 (1999) for sounds, then is folded so that the common
other spellings meet it: pana for พนา, Phana and Pana, chitr for จิตร, Jitr and Chitr. It is for comparing, never for
showing. A library that romanises Thai (pythainlp, 22 MB) reads whole words by dictionary; names are seldom in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import polars as pl

_THAI_DIGITS = str.maketrans("๐๑๒๓๔๕๖๗๘๙", "0123456789")
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_TONES = dict.fromkeys(map(ord, "่้๊๋"))

_TITLES = (
    *("เด็กชาย", "เด็กหญิง", "ด.ช.", "ด.ญ.", "ดช.", "ดญ.", "นางสาว", "น.ส.", "นส.", "นาย", "นาง"),
    *("พระภิกษุ", "พระ", "สามเณร", "แม่ชี", "ว่าที่ร้อยตรี", "ว่าที่ ร.ต.", "ร.ต.อ.", "ร.ต.ต.", "ร.ต.ท.", "ร.ต.", "ร.ท.", "ร.อ."),
    *("พล.ต.อ.", "พล.ต.ต.", "พล.ต.", "พล.อ.", "พ.ต.อ.", "พ.ต.ท.", "พ.ต.ต.", "พ.ต.", "พ.ท.", "พ.อ.", "ด.ต.", "จ.ส.ต."),
    *(
        "จ.ส.อ.",
        "ส.ต.อ.",
        "ส.ต.ท.",
        "ส.ต.ต.",
        "ส.ต.",
        "ส.ท.",
        "ส.อ.",
        "ดร.",
        "นพ.",
        "พญ.",
        "ทพ.",
        "ทพญ.",
        "ม.ล.",
        "ม.ร.ว.",
    ),
)
"""Before a name, glued or not; the longest is taken. พระ, นาย and นาง also begin names: see `_without_title`."""
_LONGEST_FIRST = tuple(sorted(_TITLES, key=len, reverse=True))
_AMBIGUOUS = frozenset({"พระ", "นาย", "นาง"})
_LATIN_TITLES = re.compile(r"^(mr|mrs|ms|miss|master|girl|boy|nai|nang sao|nang|naai)(\.\s*|\s+)", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"^(บุตร\s*(ของ)?\s*(นาง|น\.?ส\.?|นางสาว).*|บุตร|ลูก(นาง|น\.?ส\.?).*|ทารก.*|เด็ก(ชาย|หญิง)?|"
    r"ไม่ทราบ(ชื่อ)?|ไม่มี(ชื่อ|นามสกุล)?|ไม่ระบุ|ยังไม่มีชื่อ|นิรนาม|baby.*|b/o.*|unknown|-+|\.+|_+)$",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"([^\s\W\d]+?)ๆ")

_IRREGULAR = (
    *(("เพชร", "เพ็ด"), ("บุตร", "บุด"), ("มิตร", "มิด"), ("จิตร", "จิด"), ("จักร", "จัก"), ("สมุทร", "สมุด"), ("พรหม", "พรม")),
    *(("พราหมณ", "พราม"), ("ทรัพย", "ซับ"), ("ศร", "ส"), ("สร้", "ส้"), ("จริง", "จิง"), ("ธรรม", "ทัม"), ("วรรณ", "วัน")),
    *(("พรรณ", "พัน"), ("เสริ", "เสิ"), ("เจริ", "จะเริ"), ("สวัส", "สะวัส"), ("ปิย", "ปิยะ"), ("สมมติ", "สมมุด"), ("บัติ", "บัด")),
    *(("ชาติ", "ชาด"), ("ญาติ", "ยาด"), ("วุฒิ", "วุด"), ("รร", "ัน"), ("ฤๅ", "รื"), ("ฤ", "รึ")),
)
"""Silent letters and readings that no rule gives, in names."""
_SILENT = re.compile(r"(?:[ทตดษ]ร|ษณ|กษณ|[ก-ฮ])[ิุ]?์")

_FIRST = {
    **dict.fromkeys("ก", "k"),
    **dict.fromkeys("ขฃคฅฆ", "kh"),
    **dict.fromkeys("ง", "ng"),
    **dict.fromkeys("จ", "ch"),
    **dict.fromkeys("ฉชฌ", "ch"),
    **dict.fromkeys("ซศษส", "s"),
    **dict.fromkeys("ญย", "y"),
    **dict.fromkeys("ฎด", "d"),
    **dict.fromkeys("ฏต", "t"),
    **dict.fromkeys("ฐฑฒถทธ", "th"),
    **dict.fromkeys("ณน", "n"),
    **dict.fromkeys("บ", "b"),
    **dict.fromkeys("ป", "p"),
    **dict.fromkeys("ผพภ", "ph"),
    **dict.fromkeys("ฝฟ", "f"),
    **dict.fromkeys("ม", "m"),
    **dict.fromkeys("ร", "r"),
    **dict.fromkeys("ลฬ", "l"),
    **dict.fromkeys("ว", "w"),
    **dict.fromkeys("หฮ", "h"),
    **dict.fromkeys("อฤฦ", ""),
}
_LAST = {
    **dict.fromkeys("กขฃคฅฆ", "k"),
    "ง": "ng",
    **dict.fromkeys("จฉชซฌฎฏฐฑฒดตถทธศษส", "t"),
    **dict.fromkeys("ญณนรลฬ", "n"),
    **dict.fromkeys("บปผฝพฟภ", "p"),
    "ม": "m",
    "ย": "i",
    "ว": "o",
    **dict.fromkeys("หฮอฤฦ", ""),
}
"""First and last consonants of a syllable (Royal Institute, 2542)."""

_C = "[ก-ฮ]"
_SIGN = "[ะาำิีึืุูัๅ็]"
_LED = "(?:ห(?=[งญณนมยรลว])|อ(?=ย))?"
_ONSET = rf"(?P<onset>{_LED}(?:[กขคตปผพบดฟซจส][รล]|[กขค]ว(?={_SIGN})|{_C}))"
# A consonant ends a syllable when it has no vowel of its own, and the next consonant is not left without any.
_CODA = rf"(?P<coda>{_C}(?!{_SIGN}|{_C}(?:$|[เแโใไ])))"
_VOWELS = {
    "เ": (
        (rf"เ{_ONSET}ียะ?", "ia", True),
        (rf"เ{_ONSET}ือะ?", "uea", True),
        (rf"เ{_ONSET}าะ", "o", False),
        (rf"เ{_ONSET}า", "ao", False),
        (rf"เ{_ONSET}ิ", "oe", True),
        (rf"เ{_ONSET}อะ?", "oe", True),
        (rf"เ{_ONSET}ย(?!{_SIGN})", "oei", False),
        (rf"เ{_ONSET}(?:็|ะ)?", "e", True),
    ),
    "แ": ((rf"แ{_ONSET}(?:็|ะ)?", "ae", True),),
    "โ": ((rf"โ{_ONSET}ะ?", "o", True),),
    "ใ": ((rf"ใ{_ONSET}ย?(?!{_SIGN})", "ai", False),),
    "ไ": ((rf"ไ{_ONSET}ย?(?!{_SIGN})", "ai", False),),
    "ั": ((rf"{_ONSET}ัวะ?", "ua", False), (rf"{_ONSET}ัย", "ai", False), (rf"{_ONSET}ั", "a", True)),
    "ะ": ((rf"{_ONSET}ะ", "a", False),),
    **dict.fromkeys("าๅ", ((rf"{_ONSET}[าๅ]", "a", True),)),
    "ำ": ((rf"{_ONSET}ำ", "am", False),),
    **dict.fromkeys("ิี", ((rf"{_ONSET}[ิี]", "i", True),)),
    **dict.fromkeys("ึื", ((rf"{_ONSET}(?:ือ|[ึื])", "ue", True),)),
    **dict.fromkeys("ุู", ((rf"{_ONSET}[ุู]", "u", True),)),
    "็": ((rf"{_ONSET}็อ", "o", True),),
    "อ": ((rf"{_ONSET}อ(?!{_SIGN})", "o", True),),
    "ว": ((rf"{_ONSET}ว(?={_C})", "ua", True),),
}
"""(pattern, sound, whether a consonant may follow) by the leading vowel, or the sign after the first consonant."""
_SYLLABLES = {
    sign: tuple((re.compile(pattern + (f"{_CODA}?" if closed else "")), sound) for pattern, sound, closed in rules)
    for sign, rules in _VOWELS.items()
}
_FIRST_CONSONANT = re.compile(_ONSET)
_BARE = re.compile(rf"(?P<onset>{_LED}{_C})(?:{_CODA})?")

_FOLDS = tuple(
    (re.compile(letters), one)
    for letters, one in (
        *(("ng", "n"), ("ky", "ch"), ("[kg]h", "k"), ("[pb]h", "p"), ("[td]h", "t"), ("sh", "s"), ("jh?", "ch")),
        *(("(?<!c)h(?=[nltmp])", ""), ("nt(?![aeiou])", "n"), ("my(?=i)", "m"), ("au", "o")),
        *(("c(?!h)", "k"), ("[qg]", "k"), ("[zx]", "s"), ("v", "w"), ("oo|ou|ue", "u"), ("ee", "i"), ("[ao]e", "e")),
        *(
            ("a[ow](?![aeiou])", "o"),
            ("ew(?![aeiou])", "eo"),
            ("[ae]y(?![aeiou])", "ai"),
            ("y(?![aeiou])", "i"),
            ("(?<=[aeiou])r(?![aeiou])", ""),
        ),
    )
)
"""Spellings of one sound to one: in this order."""
_DOUBLE = re.compile(r"(.)\1+")
_KEY = str.maketrans(
    {**dict.fromkeys("kg", "k"), **dict.fromkeys("td", "t"), **dict.fromkeys("pbf", "p"), **dict.fromkeys("nlr", "n")}
)


def is_placeholder(name: str) -> bool:
    """Whether a text stands where a name is not known: บุตรนาง…, a title alone, ทารก, a hyphen."""
    return _PLACEHOLDER.match(name) is not None


def cleaned(name: str | None) -> str | None:
    """The name alone: NFC, no invisible letters, titles, tone marks or signs; ๆ written out, Latin in small letters.

    None for an empty text and for a placeholder.
    """
    if name is None:
        return None
    text = unicodedata.normalize("NFC", name).translate(_INVISIBLE).translate(_THAI_DIGITS)
    text = " ".join(text.replace("ํา", "ำ").replace("เเ", "แ").split())
    text = _without_title(text)
    if not text or is_placeholder(text):
        return None
    text = _REPEATED.sub(r"\1\1", text).translate(_TONES).lower()
    text = "".join(letter for letter in text if letter.isalpha() or unicodedata.category(letter) == "Mn")
    return text or None


def _without_title(text: str) -> str:
    text = _LATIN_TITLES.sub("", text)
    for title in _LONGEST_FIRST:
        if text.startswith(title):
            rest = text[len(title) :].lstrip(" .")
            # นายิกา, นางรอง and พระพร are names: a title is one only before what can be a name of its own.
            starts = not rest or rest[0].isascii() or rest[0] in "เแโใไ" or (len(rest) > 1 and "ก" <= rest[0] <= "ฮ")
            if title in _AMBIGUOUS and (len(rest) < 3 or not starts):
                return text
            return rest
    return text


def romanised(clean: str) -> str:
    """Folded Latin letters of a cleaned name, Thai or Latin. Reads any text; what it does not know it leaves out."""
    text = clean
    if not text.isascii():
        for written, read in _IRREGULAR:
            text = text.replace(written, read)
        text = _SILENT.sub("", text).replace("์", "")
        text = "".join(_sounds(text))
    for letters, one in _FOLDS:
        text = letters.sub(one, text)
    return _DOUBLE.sub(r"\1", text)


def _sounds(text: str) -> list[str]:
    sounds, at = [], 0
    while at < len(text):
        sign = text[at]
        if sign not in "เแโใไ":
            onset = _FIRST_CONSONANT.match(text, at)
            sign = text[onset.end() : onset.end() + 1] if onset else ""
        matches = ((pattern.match(text, at), vowel) for pattern, vowel in _SYLLABLES.get(sign, ()))
        match, vowel = next(((found, vowel) for found, vowel in matches if found), (_BARE.match(text, at), None))
        if match is None:  # Not Thai, or a mark by itself.
            sounds.append(text[at] if text[at].isascii() else "")
            at += 1
            continue
        # Where no vowel is written it is o before a last consonant, else a.
        sounds.append(_syllable(match, vowel or ("o" if match["coda"] else "a")))
        at = match.end()
    return sounds


def _syllable(match: re.Match[str], vowel: str) -> str:
    onset = match["onset"]
    if len(onset) > 1 and onset[0] in "หอ" and onset[1] in "งญณนมยรลว":
        onset = onset[1:]
    first = "".join(_FIRST[letter] for letter in onset)
    coda = match.groupdict().get("coda")
    return first + vowel + (_LAST[coda] if coda else "")


def skeleton(roman: str) -> str:
    """Consonants of a folded name in four classes and the rest, vowels and glides out: the same for most spellings."""
    text = roman.replace("sr", "s")
    text = re.sub(r"[aeiouwhy]", "", text.replace("ch", "C")).translate(_KEY)
    return _DOUBLE.sub(r"\1", text) or roman[:1]


def compared(names: pl.Series) -> pl.DataFrame:
    """For each name as typed: `plain` (cleaned), `roman`, `skeleton`, all null where there is none.

    Each distinct name is worked out once.
    """
    frame = pl.DataFrame({"typed": names.cast(pl.String)})
    distinct = frame.select(pl.col("typed").drop_nulls().unique())["typed"]
    plain = _each(distinct, cleaned)
    roman = _each(plain, romanised)
    table = pl.DataFrame({"typed": distinct, "plain": plain, "roman": roman, "skeleton": _each(roman, skeleton)})
    return frame.join(table, on="typed", how="left", maintain_order="left").drop("typed")


def _each(texts: pl.Series, change: Callable[[str], str | None]) -> pl.Series:
    return pl.Series([None if text is None else change(text) for text in texts], dtype=pl.String)
