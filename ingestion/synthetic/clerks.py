"""Who people are on paper: names, titles, phones, passports; and how each facility's clerk types them anew.

A person has one truth (`identified`) and as many spellings of it as facilities (`typed`). Every rate is an assumption:
no source counts how Thai registers differ.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise, product

import numpy as np
import polars as pl

from ingestion.synthetic.catalogue import Bools, Ints
from ingestion.synthetic.people import (
    GIVEN_HEADS,
    GIVEN_TAILS,
    KINDS,
    NO_DAY,
    SURNAME_HEADS,
    SURNAME_TAILS,
    Period,
)

FOREIGN, STATELESS, NEWBORN = (KINDS.index(name) for name in ("foreign", "stateless", "newborn"))
MYANMAR, LAO, CAMBODIAN, UNKNOWN_NATION = "048", "056", "057", "999"

# Of the truth. Assumptions.
CAMBODIAN_SHARE = 0.5
"""Of the migrants who are not from Myanmar."""
TWIN_SHARE = 0.02
"""Of newborns: the second of twins, whose first is the newborn before."""
NAMESAKE_SHARE = 0.003
"""Of Thais: bears the given name of somebody of the household, as sons do their fathers'."""
DOUBLED_SHARE = 0.01
"""Given names of a syllable said twice, which some write with ไม้ยมก."""
MARRIED_SHARE = 0.3
"""Of women of 20 and over: had another surname before."""
OWN_PHONE_SHARE = 0.55
"""Others give the household's."""
PASSPORT_SHARE = 0.45
"""Of migrants."""

# Of each registration. Assumptions.
TYPOS = 0.02
LOST_TONES = 0.015
LOST_KARAN = 0.015
HOMOPHONES = 0.01
GLUED_TITLES = 0.025
ROMANISED = 0.006
MAIDEN_NAMES = 0.12
"""Of women who had another surname: the facility still has it."""
OTHER_SCRIPT = 0.4
"""Of registrations of migrants: in Latin letters."""
OTHER_SPELLING = 0.2
"""Of syllables of a migrant's name: not the usual spelling."""
NO_SURNAME = 0.25
"""Of registrations of migrants who have a surname."""
PLACEHOLDER_NAMES = 0.6
"""Of newborns' first rows: typed before the child has a name."""
FIRST_OF_JANUARY = {"young": 0.003, "old": 0.04, FOREIGN: 0.15, STATELESS: 0.2}
WRONG_YEAR = 0.006
SWAPPED_DAY = 0.005
WRONG_DAY = 0.006
WRONG_SEX = 0.002
WRONG_NATION = {"thai": 0.002, "other": 0.05}
NO_PHONE = 0.45
OTHER_PHONE = 0.12
NO_PASSPORT = 0.35
NO_MOTHER = 0.12
WRONG_MOTHER = 0.01
NO_HN = 0.3

TITLES = {
    "001": ("ด.ช.", "เด็กชาย"),
    "002": ("ด.ญ.", "เด็กหญิง"),
    "003": ("นาย", "นาย "),
    "004": ("น.ส.", "นางสาว", "นส."),
    "005": ("นาง", "นาง "),
}
TONES = "่้๊๋"
KARAN = "์"
MARKS = "ัิีึืฺุู็่้๊๋์ํ๎"
"""Vowels, tones and signs that stand above or below a letter."""
SOUNDS_ALIKE = {"ณ": "น", "ศ": "ส", "ธ": "ท", "ภ": "พ", "ษ": "ส", "ญ": "ย", "ไ": "ใ", "ฐ": "ถ", "ฒ": "ท"}
KEYS = "กขคงจชซดตทนบปผพมยรลวสหอ"

ROMAN = {
    **{"สม": "som", "วิ": "wi vi", "ประ": "pra", "นภา": "napha napa", "กิต": "kit", "ธนา": "thana tana", "สุ": "su soo"},
    **{"อร": "on orn", "พร": "phon porn pon", "ชล": "chon chol", "จิ": "chi ji", "มณี": "mani manee", "รัต": "rat"},
    **{"ศิ": "si", "อนุ": "anu", "ปิย": "piya", "ชาย": "chai chay", "ภา": "pha pa", "เสริฐ": "soet sert", "ติ": "ti"},
    **{"วัฒน์": "wat", "นีย์": "ni nee", "ทัย": "thai tai", "ทิพย์": "thip tip", "ดา": "da", "รา": "ra", "รัตน์": "rat"},
    **{"นา": "na", "ริน": "rin", "ชิต": "chit jit", "ธิดา": "thida tida", "ทอง": "thong tong", "แก้ว": "kaeo kaew"},
    **{"ศรี": "si sri", "บุญ": "bun boon", "จันทร์": "chan jan", "คำ": "kham kam", "วงศ์": "wong vong", "ชัย": "chai"},
    **{"สุข": "suk sook", "พันธ์": "phan pan", "อินทร์": "in", "เพชร": "phet pet", "ใจ": "chai jai", "นาค": "nak"},
    **{
        "ปาน": "pan",
        "มา": "ma",
        "ดี": "di dee",
        "มี": "mi mee",
        "ใส": "sai",
        "งาม": "ngam",
        "ประเสริฐ": "prasoet prasert",
    },
    **{"เจริญ": "charoen jaroen", "สวัสดิ์": "sawat", "กล้า": "kla", "รุ่งเรือง": "rungrueang rungruang"},
    **{"วงษ์": "wong", "สมบัติ": "sombat", "พงศ์": "phong pong", "ไพร": "phrai prai", "สมมติ": "sommut sommot"},
}
"""The invented Thai syllables in Latin letters: by the Royal Institute's rules first, then as people write them."""

MYANMAR_SYLLABLES = {
    **{"Aung": "อ่อง ออง|Aung Oung", "Min": "มิน|Min", "Htun": "ทุน ตุน|Htun Tun", "Kyaw": "จอ จ่อ|Kyaw Kyow"},
    **{"Zaw": "ซอ ซ่อ|Zaw Saw", "Thein": "เทียน เต็ง|Thein Tein", "Win": "วิน|Win", "Khin": "ขิ่น คิน|Khin Kin"},
    **{"Myint": "มิ้น มินต์|Myint Myin", "Nwe": "นวย นวี|Nwe Nway", "Soe": "โซ โซว|Soe So", "Moe": "โม โมว|Moe Mo"},
    **{"Hla": "ลา หล่า|Hla La", "Naing": "นาย หน่าย|Naing Nai", "Htet": "เท็ด เท็ท|Htet Thet", "Su": "ซู สุ|Su Soo"},
    **{"Phyo": "โพ เพียว|Phyo Pyo", "Lin": "ลิน|Lin Lynn", "Mya": "เมียะ มยา|Mya", "San": "ซาน สาน|San Sann"},
    **{"Thant": "ตาน ทาน|Thant Than", "Zin": "ซิน สิน|Zin", "Wai": "ไว|Wai Way", "Ye": "เย|Ye Yay"},
    **{
        "Hnin": "นิน หนิน|Hnin Nin",
        "Ei": "เอ อี|Ei Aye",
        "Sandar": "ซานดา จันดา|Sandar Sanda",
        "Nyein": "เญน เนียน|Nyein Nyain",
    },
    **{"Chit": "ชิด ชิต|Chit", "Maung": "หม่อง ม่อง|Maung Mg", "Thu": "ตู ทู|Thu Tu", "Lwin": "ลวิน หลวิน|Lwin"},
    **{"Myo": "เมียว มโย|Myo Mio", "Kyi": "จี จี่|Kyi Kyee", "Tin": "ติน ทิน|Tin", "Thida": "ตีดา ธิดา|Thida Tida"},
}
NEIGHBOUR_SYLLABLES = {
    **{"Boun": "บุน บุญ|Boun Bun", "Mi": "มี|Mi My Mee", "Kham": "คำ|Kham Kam", "La": "หล้า ลา|La"},
    **{"Som": "สม|Som", "Phone": "พอน พร|Phone Phon", "Vi": "วิ|Vi Vy", "Lay": "ไล ลัย|Lay Lai", "Si": "สี ศรี|Si Sy"},
    **{"Chanh": "จัน จันทร์|Chanh Chan", "Keo": "แก้ว|Keo Kaew", "Phet": "เพ็ด เพชร|Phet Phed", "Vong": "วง วงศ์|Vong Wong"},
    **{
        "Sa": "สา|Sa",
        "Ly": "ลี่ ลี|Ly Li",
        "Dara": "ดารา|Dara Dala",
        "Sok": "ซก สก|Sok Sokh",
        "Pheap": "เภียบ เพียบ|Pheap Phiap",
    },
    **{"So": "โซ โส|So", "Srey": "ไสร สรัย|Srey Sray", "Vuthy": "วุฒิ วุดที|Vuthy Vuty", "Phal": "พัล ผล|Phal Pal"},
    **{
        "Rath": "รัฐ รัด|Rath Rat",
        "Chea": "เจีย เชีย|Chea Chia",
        "Nary": "นารี|Nary Nari",
        "Kosal": "โกศล โกซอล|Kosal Kosol",
    },
    **{
        "Heng": "เฮง|Heng Haeng",
        "Mony": "มุนี โมนี|Mony Moni",
        "Sovann": "โสวัน สุวรรณ|Sovann Sovan",
        "Chhay": "ชัย ไช|Chhay Chay",
    },
}
_SPELLINGS = {
    syllable: tuple(tuple(script.split(" ")) for script in spelled.split("|"))
    for syllable, spelled in {**MYANMAR_SYLLABLES, **NEIGHBOUR_SYLLABLES}.items()
}


def identified(people: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The people with what their papers say, twins among the newborns, and names of their own for migrants.

    Adds prename (code), maiden (surname before marriage, empty for none), mobile, passport, mother_given. A migrant's
    name is written as its syllables, in Latin letters and with blanks between them.
    """
    people = _with_twins(people, rng)
    n = len(people)
    kind, sex, age = (people[name].to_numpy() for name in ("kind", "sex", "age"))
    given, surname = people["given"].to_numpy().copy(), people["surname"].to_numpy().copy()
    nation = people["nation"].to_numpy().copy()
    nation[(nation == LAO) & (rng.random(n) < CAMBODIAN_SHARE)] = CAMBODIAN

    household = people["household"].to_numpy()
    first_of_household = np.searchsorted(household, household) if _sorted(household) else np.arange(n)
    namesake = (kind == 0) & (rng.random(n) < NAMESAKE_SHARE) & (sex[first_of_household] == sex)
    given[namesake] = given[first_of_household[namesake]]
    doubled = np.flatnonzero((kind == 0) & (rng.random(n) < DOUBLED_SHARE))
    twice = np.array([tail * 2 for tail in GIVEN_TAILS if len(tail) < 4])
    given[doubled] = twice[rng.integers(0, len(twice), len(doubled))]
    for row in np.flatnonzero(kind == FOREIGN):
        given[row], surname[row] = _foreign_name(nation[row], rng)

    maiden = np.where((sex == 2) & (age >= 20) & (kind == 0) & (rng.random(n) < MARRIED_SHARE), surname, "")
    had = np.flatnonzero(maiden != "")
    maiden[had] = rng.permutation(maiden[had])
    own = (rng.random(n) < OWN_PHONE_SHARE) & (age >= 15)
    phone = np.where(own, np.arange(n) * 7 % 500_000, 500_000 + household % 500_000)
    has_passport = (kind == FOREIGN) & (rng.random(n) < PASSPORT_SHARE)
    mother = people["mother"].to_numpy()
    child, female = pl.col("age") < 15, pl.col("sex") == 2
    return people.with_columns(
        given=pl.Series(given),
        surname=pl.Series(surname),
        nation=pl.Series(nation),
        maiden=pl.Series(maiden, dtype=pl.String),
        mobile=pl.Series(phone).cast(pl.String).str.zfill(6).str.pad_start(10, "0"),
        passport=pl.when(pl.Series(has_passport))
        .then(pl.concat_str(pl.lit("ZZ"), (pl.col("person") * 6_700_417 % 10**7).cast(pl.String).str.zfill(7)))
        .otherwise(pl.lit("")),
        mother_given=pl.Series(np.where(mother >= 0, given[np.maximum(mother, 0)], ""), dtype=pl.String),
        prename=pl.when(child & female)
        .then(pl.lit("002"))
        .when(child)
        .then(pl.lit("001"))
        .when(female & (pl.col("age") < 30))
        .then(pl.lit("004"))
        .when(female)
        .then(pl.lit("005"))
        .otherwise(pl.lit("003")),
    )


def _sorted(values: Ints) -> bool:
    return bool((np.diff(values) >= 0).all())


def _with_twins(people: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Some newborns are born with the newborn before them: the same mother, day, surname, household and places."""
    babies = np.flatnonzero((people["kind"] == NEWBORN).to_numpy() & (people["mother"] >= 0).to_numpy())
    source = np.arange(len(people))
    p = people["p"].to_numpy()
    is_second = np.zeros(len(people), dtype=bool)
    for before, baby in pairwise(babies):
        if p[before] == p[baby] and not is_second[before] and rng.random() < TWIN_SHARE:
            source[baby], is_second[baby] = before, True
    shared = ["household", "birth_day", "surname", "mother", "mother_cid", "addr_p", "district"]
    # Dead before it was born would be a newborn whose day of birth moved past its death.
    day = people["birth_day"].to_numpy()[source]
    dies = np.where(people["death_day"].to_numpy() < day, NO_DAY, people["death_day"].to_numpy())
    return people.with_columns(*(people[name].gather(source) for name in shared), death_day=pl.Series(dies))


def _foreign_name(nation: str, rng: np.random.Generator) -> tuple[str, str]:
    """Given name and surname; people of Myanmar have none."""
    if nation == MYANMAR:
        syllables = list(MYANMAR_SYLLABLES)
        return " ".join(syllables[k] for k in rng.integers(0, len(syllables), int(rng.integers(2, 5)))), ""
    syllables = list(NEIGHBOUR_SYLLABLES)
    first, last = (rng.integers(0, len(syllables), int(rng.integers(1, 4)) + k) for k in (0, 1))
    return " ".join(syllables[k] for k in first), " ".join(syllables[k] for k in last)


IN_SYLLABLES = {
    "".join(parts): parts
    for parts in (
        *product(GIVEN_HEADS, GIVEN_TAILS),
        *((tail, tail) for tail in GIVEN_TAILS),
        *product(SURNAME_HEADS, SURNAME_HEADS, SURNAME_TAILS),
    )
}


def typed(known: pl.DataFrame, period: Period, rng: np.random.Generator) -> pl.DataFrame:
    """Registrations with what their facility typed of the person.

    `known` has the columns of `identified` people and `pid`. Adds typed_<name> for prename, given, surname, birth
    (date), sex, nation, mother, mobile, passport, hn; and first_given, first_surname, which a newborn's first row has
    before there is a name (elsewhere they equal the typed ones).
    """
    n = len(known)
    kind, sex, age = (known[name].to_numpy() for name in ("kind", "sex", "age"))

    def some(rate: float | Ints) -> Bools:
        return np.asarray(rng.random(n) < rate)

    given, surname = known["given"].to_numpy().copy(), known["surname"].to_numpy().copy()
    maiden = known["maiden"].to_numpy()
    use_maiden = (maiden != "") & some(MAIDEN_NAMES)
    surname[use_maiden] = maiden[use_maiden]
    foreign = kind == FOREIGN
    _spell_foreign(given, surname, np.flatnonzero(foreign), rng)
    for row in np.flatnonzero(some(ROMANISED) & ~foreign):
        given[row], surname[row] = (_romanised(text, rng).capitalize() for text in (given[row], surname[row]))
    for names in (given, surname):
        for rate, change in (
            (LOST_TONES, _without_tones),
            (LOST_KARAN, _without_karan),
            (HOMOPHONES, _homophone),
            (TYPOS, _mistyped),
        ):
            for row in np.flatnonzero(some(rate) & (names != "")):
                names[row] = change(str(names[row]), rng)
    for row in np.flatnonzero(some(0.4)):
        text = str(given[row])
        if len(text) > 2 and len(text) % 2 == 0 and text[: len(text) // 2] == text[len(text) // 2 :]:
            given[row] = text[: len(text) // 2] + "ๆ"
    prename = known["prename"].to_numpy()
    for row in np.flatnonzero(some(GLUED_TITLES)):
        titles = TITLES[prename[row]]
        given[row] = titles[int(rng.integers(0, len(titles)))] + str(given[row])
    first_given, first_surname = given.copy(), surname.copy()
    mother_given = known["mother_given"].to_numpy()
    for row in np.flatnonzero((kind == NEWBORN) & (mother_given != "") & some(PLACEHOLDER_NAMES)):
        first_given[row] = _placeholder(str(prename[row]), str(mother_given[row]), rng)
    nation = known["nation"].to_numpy().copy()
    nation[some(np.where(nation == "099", WRONG_NATION["thai"], WRONG_NATION["other"]))] = UNKNOWN_NATION
    person, f = known["person"].to_numpy().astype(np.int64), known["f"].to_numpy().astype(np.int64)
    other_phone = pl.Series((person * 31 + f * 17) % 10**6).cast(pl.String).str.zfill(10)
    mother = known["mother_cid"].to_numpy().copy()
    for row in np.flatnonzero(some(WRONG_MOTHER) & (mother != "")):
        mother[row] = _swapped(str(mother[row]), int(rng.integers(1, 11)))
    empty = pl.lit("")
    return known.with_columns(
        typed_prename=pl.col("prename"),
        typed_given=pl.Series(given, dtype=pl.String),
        typed_surname=pl.Series(surname, dtype=pl.String),
        first_given=pl.Series(first_given, dtype=pl.String),
        first_surname=pl.Series(first_surname, dtype=pl.String),
        typed_birth=_births(known["birth_day"].to_numpy(), kind, age, period.start, rng),
        typed_sex=pl.Series(np.where(some(WRONG_SEX), 3 - sex, sex)).cast(pl.String),
        typed_nation=pl.Series(nation, dtype=pl.String),
        typed_mother=pl.when(pl.Series(some(NO_MOTHER))).then(empty).otherwise(pl.Series(mother, dtype=pl.String)),
        typed_mobile=pl.when(pl.Series(some(NO_PHONE)))
        .then(empty)
        .when(pl.Series(some(OTHER_PHONE)))
        .then(pl.lit(other_phone))
        .otherwise("mobile"),
        typed_passport=pl.when(pl.Series(some(NO_PASSPORT))).then(empty).otherwise("passport"),
        typed_hn=pl.when(pl.Series(some(NO_HN))).then(empty).otherwise(pl.col("pid").str.strip_chars_start("0")),
    )


def _spell_foreign(given: Ints, surname: Ints, rows: Ints, rng: np.random.Generator) -> None:
    """As a clerk hears them: in either script, with or without blanks, the surname left out or cut from the name."""
    for row in rows:
        script = int(rng.random() < OTHER_SCRIPT)
        joint = " " if script and rng.random() < 0.8 else ""
        first, last = (
            [_spelled(part, script, rng) for part in str(text).split()] for text in (given[row], surname[row])
        )
        u = rng.random()
        if not last and u < 0.35:  # A name of Myanmar, cut in two for a form that asks for a surname.
            first, last = first[:1], first[1:]
        elif last and u < NO_SURNAME:
            last = []
        name, rest = joint.join(first), joint.join(last)
        if script and rng.random() < 0.3:
            name, rest = name.upper(), rest.upper()
        given[row], surname[row] = name, rest or ("-" if rng.random() < 0.3 else "")


def _spelled(syllable: str, script: int, rng: np.random.Generator) -> str:
    ways = _SPELLINGS[syllable][script]
    return ways[int(rng.integers(1, len(ways)))] if len(ways) > 1 and rng.random() < OTHER_SPELLING else ways[0]


def _romanised(text: str, rng: np.random.Generator) -> str:
    parts = IN_SYLLABLES.get(text, (text,))
    ways = [ROMAN.get(part, part).split(" ") for part in parts]
    return "".join(way[int(rng.integers(0, len(way)))] for way in ways)


def _without_tones(text: str, _: np.random.Generator) -> str:
    return "".join(letter for letter in text if letter not in TONES)


def _without_karan(text: str, _: np.random.Generator) -> str:
    return text.replace(KARAN, "")


def _homophone(text: str, rng: np.random.Generator) -> str:
    at = [k for k, letter in enumerate(text) if letter in SOUNDS_ALIKE]
    if not at:
        return text
    k = at[int(rng.integers(0, len(at)))]
    return text[:k] + SOUNDS_ALIKE[text[k]] + text[k + 1 :]


def _mistyped(text: str, rng: np.random.Generator) -> str:
    """One letter lost, doubled, changed for another, or two changed about."""
    if len(text) < 2:
        return text
    k, how = int(rng.integers(0, len(text) - 1)), int(rng.integers(0, 4))
    if how == 0:
        left = text[:k] + text[k + 1 :]
        return left if left.strip(MARKS) else text  # No clerk leaves a mark that stands over nothing.
    if how == 1:
        return text[: k + 1] + text[k:]
    if how == 2:
        letter = KEYS[int(rng.integers(0, len(KEYS)))] if text[k] > "z" else chr(97 + int(rng.integers(0, 26)))
        return text[:k] + letter + text[k + 1 :]
    return text[:k] + text[k + 1] + text[k] + text[k + 2 :]


def _placeholder(prename: str, mother: str, rng: np.random.Generator) -> str:
    title = TITLES[prename][0]
    ways = (f"{title}บุตรนาง{mother}", f"บุตรนาง{mother}", f"บุตร น.ส.{mother}", f"{title}{mother}", f"{title}", "ทารก")
    return ways[int(rng.integers(0, len(ways)))]


def _swapped(text: str, k: int) -> str:
    return text[:k] + text[k + 1] + text[k] + text[k + 2 :]


def _births(birth_day: Ints, kind: Ints, age: Ints, start: date, rng: np.random.Generator) -> pl.Series:
    """Dates of birth as typed: 1 January for who knows no day, a year or a day beside, day and month changed about."""
    n = len(birth_day)
    u, v = rng.random(n), rng.random(n)
    first = FIRST_OF_JANUARY
    rate = np.select(
        [kind == FOREIGN, kind == STATELESS, age > 60], [first[FOREIGN], first[STATELESS], first["old"]], first["young"]
    )
    rate = np.where(kind == NEWBORN, 0.0, rate)
    year_off = np.where(v < 0.5, -1, 1) * ((kind != NEWBORN) & (u >= rate) & (u < rate + WRONG_YEAR))
    swap = (u >= rate + WRONG_YEAR) & (u < rate + WRONG_YEAR + SWAPPED_DAY)
    day_off = (u >= 0.9) & (u < 0.9 + WRONG_DAY)
    frame = pl.DataFrame({"day": birth_day + np.where(day_off, np.where(v < 0.5, 1, -1), 0)})
    birth = pl.lit(start) + pl.duration(days=pl.col("day"))
    frame = frame.select(y=birth.dt.year(), m=birth.dt.month(), d=birth.dt.day()).with_columns(
        pl.Series("placeholder", u < rate), pl.Series("off", year_off), pl.Series("swap", swap)
    )
    fits = pl.col("swap") & (pl.col("d") <= 12)
    return frame.select(
        pl.when("placeholder")
        .then(pl.date(pl.col("y"), 1, 1))
        .when(fits)
        .then(pl.date(pl.col("y"), pl.col("d"), pl.min_horizontal("m", pl.lit(12))))
        .otherwise(
            pl.date(
                pl.col("y") + pl.col("off"),
                pl.col("m"),
                # 29 February of another year is no date.
                pl.when((pl.col("m") == 2) & (pl.col("off") != 0)).then(pl.min_horizontal("d", 28)).otherwise("d"),
            )
        )
        .alias("birth")
    ).to_series()
