"""From the vault's records to what linkage compares, and the index of blocking keys by which records find each other.

All of it lies in the vault, in a schema of its own:

- `linkage.packed`: (is_residue, day, n, told), a row a record, all that it tells in one text. In runs, each in the
  order of the records' numbers, the residue apart. `linkage.features` is a view of all of it, unpacked (FEATURES);
  `features_of` reads and unpacks a few records.
- `linkage.blocks`: (is_residue, key, birth, day, n), each key of each record; who shares a key may be one
  person. In runs, each in the order of the keys.
- `linkage.runs`: (name, run, n), the runs of those two, and how many rows each had when it was laid.
- `linkage.frequencies`: (kind, name, n), how many records bear each given name and surname.
- `linkage.progress`: (arrived, n_numbered), the last arrival whose records are in it, and how many got a number.
- `linkage.persons`: record of the residue, its hospcode and pid, person, is_numbered, probability.
- `linkage.edges`: scored pairs above the wide threshold, with the linkage pseudonyms of records that have one.
- `linkage.apart`: pairs of a multiple birth.
- `linkage.bridges`: pairs that speak for two persons being one.
- `linkage.format`: of which form all this is.

Residue is what has no usable citizen number.

A record is numbered when it first comes, by its birth date before all else: who may be one person is mostly born on one
day, and so lies in few row groups.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import duckdb
import polars as pl

from identity.linkage.names import compared
from ruam.errors import SetupError

COMPARED = (
    *("cid", "cid_class", "linkage_pseudonym", "prename", "given", "surname", "birth_date", "sex", "nation", "labor"),
    *("province_code", "mother_cid", "telephone", "mobile", "passport", "hn"),
)
"""What a record tells of its person."""
RECORDS = ("hospcode", "pid", *COMPARED, "d_update", "arrived", "is_known")
"""Columns of the vault's `records` that linkage reads; (hospcode, pid) is its key. `arrived` counts up with what is
taken in, and stays while a record tells the same; `is_known` says that an earlier row of the same key may be in the
index."""

FEATURES = {
    "record": "ubigint",
    "hospcode": "varchar",
    "pid": "varchar",
    "is_residue": "boolean",
    "person": "varchar",
    "number": "varchar",
    "given": "varchar",
    "given_roman": "varchar",
    "given_key": "varchar",
    "surname": "varchar",
    "surname_roman": "varchar",
    "surname_key": "varchar",
    "whole_roman": "varchar",
    "whole_key": "varchar",
    "birth": "date",
    "sex": "varchar",
    "nation": "varchar",
    "province": "varchar",
    "mother": "varchar",
    "phone": "varchar",
    "passport": "varchar",
    "hn": "varchar",
    "month": "date",
}
"""`person` is the linkage pseudonym, null in the residue; `number` 13 digits, right or mistyped; `*_roman` and `*_key`
as `names` makes them, `whole` being name and surname together; `month` that of D_UPDATE."""

VERSION = 3
"""Counts up when names, keys or features come to be worked out otherwise: all records are then taken in anew."""

RECORD = "(day::ubigint << 32) + n"
"""A record's number is the days from FIRST_BIRTH to the birth date that it came with (`day`), and in 32 bits below how
many were numbered (`n`). In two columns of four bytes the engine packs it, in one of eight it does not."""
PLACE = "(record >> 32)::uinteger as day, (record & 4294967295)::uinteger as n"
"""RECORD the other way about."""
FIRST_BIRTH = "date '1800-01-01'"

_TOLD = [name for name in FEATURES if name not in ("record", "is_residue")]
"""Features in the order in which they stand in `told`, a JSON list of texts and nulls."""


def packed(rows: str) -> str:
    """A query of (is_residue, day, n, told) of a table of features."""
    told = ", ".join(f"{name}::varchar" for name in _TOLD)
    return f"select is_residue, {PLACE}, to_json([{told}])::varchar as told from {rows}"


def _unpacked(rows: str) -> str:
    """A query of FEATURES of a table as `packed` makes it."""
    made = {
        "record": RECORD,
        "is_residue": "is_residue",
        **{name: f"told[{at}]::{FEATURES[name]}" for at, name in enumerate(_TOLD, 1)},
    }
    columns = ", ".join(f"{made[name]} as {name}" for name in FEATURES)
    return f"""select {columns} from (select * replace (from_json(told, '["varchar"]') as told) from {rows})"""


_TABLES = f"""
create schema if not exists linkage;
create table if not exists linkage.packed (
    is_residue boolean, day uinteger, n uinteger, told varchar using compression zstd, run integer
);
create view if not exists linkage.features as {_unpacked("linkage.packed")};
create table if not exists linkage.blocks (
    is_residue boolean, key uinteger, birth date, day uinteger, n uinteger, run integer
);
create table if not exists linkage.runs (name varchar, run integer, n bigint);
create table if not exists linkage.frequencies (kind varchar, name varchar, n bigint);
create table if not exists linkage.progress (arrived bigint, n_numbered bigint);
create table if not exists linkage.persons (
    record ubigint, hospcode varchar, pid varchar, person varchar, is_numbered boolean, probability double
);
create table if not exists linkage.edges (
    record_l ubigint, record_r ubigint, person_l varchar, person_r varchar, probability double, is_strong boolean
);
create table if not exists linkage.apart (record_l ubigint, record_r ubigint);
create table if not exists linkage.bridges (
    record_l ubigint, record_r ubigint, person_l varchar, person_r varchar, probability double
);
create table if not exists linkage.format (form varchar);
"""

PAGE = 200_000
"""Names worked out at a time."""

_KEYS = {
    "birth and given name": ("birth is not null and given_key is not null", "birth, given_key"),
    "birth and surname": ("birth is not null and surname_key is not null", "birth, surname_key"),
    "whole name": ("length(whole_key) > 3", "whole_key, sex"),
    "whole name and year": ("whole_key is not null and birth is not null", "whole_key, year(birth)"),
    "birth and how a foreign name begins": (
        "birth is not null and whole_key is not null and coalesce(nation, '') <> '099'",
        "birth, left(whole_key, 2), sex",
    ),
    "year and how a foreign name begins": (
        "birth is not null and whole_key is not null and nation <> '099'",
        "year(birth), left(whole_key, 3), sex, nation",
    ),
    "birth and place of a foreigner": ("birth is not null and nation <> '099'", "birth, sex, province, nation"),
    "mother and year": ("mother is not null and birth is not null", "mother, year(birth)"),
    "birth and place of a child": ("month - birth < 400", "birth, sex, province"),
    "phone": ("phone is not null", "phone, sex"),
    "passport": ("passport is not null", "passport"),
    "hospital number": ("hn is not null", "hospcode, hn"),
    "citizen number": ("number is not null", "number"),
}
"""Blocking rules: (which records have the key, what it is made of). One shared key makes a candidate pair."""

_PAPERS = ("passport", "hospital number", "citizen number")
"""Rules that make a pair whatever the birth dates are."""


def _key(rule: int, parts: str) -> str:
    """A key of four bytes, which lie closer than eight by far. Now and then two keys fall together; such a pair is put
    aside by its birth dates, or by its score."""
    return f"(hash({rule}, {parts}) >> 32)::uinteger"


_NUMBER_RULE = list(_KEYS).index("citizen number")
_REGISTRATION = _key(len(_KEYS), "hospcode, pid")
"""The key by which a record that changed finds itself."""


_LAID = {
    "packed": ("is_residue, day, n, told", "is_residue, day, n"),
    "blocks": ("is_residue, key, birth, day, n", "is_residue, key"),
}
"""Columns of what lies in runs, and by what a run is sorted."""
RUN = 4
"""A run is laid together with the one before it when that is less than so many times as large. So there are never many
runs, and a row is sorted anew as often as the vault grows so many times as large."""


def create(connection: duckdb.DuckDBPyConnection) -> bool:
    """Make the tables where they are missing. Returns whether an earlier version had made them: then they are empty
    now but for the names of persons (in `linkage.persons`, their `record` null until it is taken in)."""
    known = {
        (table, column)
        for table, column in connection.execute(
            "select table_name, column_name from duckdb_columns() where schema_name = 'linkage' and not internal"
        ).fetchall()
    }
    form = _form(connection)
    is_old = bool(known) and not (
        ("format", "form") in known
        and connection.execute("select count(*) from linkage.format where form = ?", [form]).fetchone() == (1,)
    )
    if is_old:
        connection.execute(f"create or replace temp table kept as {_names_in(known)}")
        connection.execute("drop schema linkage cascade")
    connection.execute(_TABLES)
    if is_old:
        connection.execute("""
            insert into linkage.persons by name
            select hospcode, pid, person, not starts_with(person, 'person:') as is_numbered from kept;
            drop table kept;
        """)
    if is_old or not known:
        connection.execute("insert into linkage.format values (?)", [form])
        connection.execute("insert into linkage.progress values (-1, 0)")
    return is_old


def _names_in(known: set[tuple[str, str]]) -> str:
    """A query of (hospcode, pid, person) in tables of an earlier version, of which `known` are the columns."""
    if ("persons", "person") not in known:
        return "select null::varchar as hospcode, null::varchar as pid, null::varchar as person limit 0"
    if ("persons", "pid") in known:
        return "select hospcode, pid, person from linkage.persons"
    return """
        select features.hospcode, features.pid, persons.person
        from linkage.persons as persons inner join linkage.features as features using (record)
    """


def _form(connection: duckdb.DuckDBPyConnection) -> str:
    """Names the form of the tables and of what stands in them; also the engine's `hash`, of which keys are made and
    which another version of the engine may work out otherwise."""
    hashed = connection.execute("select hash(1, 'ก', date '2000-01-02'), hash(null, 'a', 1)").fetchone()
    return hashlib.sha256(repr((VERSION, _TABLES, _KEYS, hashed)).encode()).hexdigest()


def require_columns(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise `SetupError` naming the columns that `records` lacks."""
    try:
        found = {row[0] for row in connection.execute("describe records").fetchall()}
    except duckdb.CatalogException as error:
        raise SetupError("The vault has no records yet: run `ruam identity take-in` first.") from error
    missing = [name for name in RECORDS if name not in found]
    if missing:
        raise SetupError(f"The vault's records have no column {', '.join(missing)}, which linkage needs.")


@dataclass(frozen=True)
class Taken:
    """Records that are new or changed."""

    n_new: int
    n_residue: int


def take_in(connection: duckdb.DuckDBPyConnection) -> Taken:
    """Bring the index up to date with `records`, and leave the numbers of what is new in `fresh` (temporary: record,
    is_residue). A record is new, or has changed, when it arrived after all that are in the index."""
    require_columns(connection)
    # A constant: the engine passes over all row groups of what came before.
    arrived = _count(connection, "select arrived from linkage.progress")
    connection.execute(f"create or replace temp table changed as select * from records where arrived > {arrived}")
    _find(connection, "stale", "select hospcode, pid from changed where is_known")
    _make_fresh(connection)
    # Most keys of a record that changed are as they were, and stay.
    _withdraw(connection, f"{index_of('stale')} except {index_of('fresh')}")
    lay(connection, "packed", packed("fresh"))
    lay(connection, "blocks", f"{index_of('fresh')} except {index_of('stale')}")
    _count_names(connection, "fresh", 1)
    connection.execute("""
        update linkage.progress set
            arrived = greatest(arrived, coalesce((select max(arrived) from changed), arrived)),
            n_numbered = n_numbered + (select count(*) from fresh);
        drop table changed;
    """)
    row = connection.execute("select count(*), count(*) filter (is_residue) from fresh").fetchone()
    assert row is not None
    return Taken(*row)


def _find(connection: duckdb.DuckDBPyConnection, table: str, pairs: str) -> None:
    """Make a temporary table of the features that the index has of records; `pairs` is a query of (hospcode, pid)."""
    connection.execute(f"""
        create or replace temp table asked as select hospcode, pid, {_REGISTRATION} as key from ({pairs});
        create or replace temp table known as select is_residue, record from ({looked_up("asked")});
        create or replace temp table {table} as
        select * from ({features_of("known")}) semi join asked using (hospcode, pid);
        drop table asked;
        drop table known;
    """)


def features_of(table: str) -> str:
    """A query of the features of the records (is_residue, record) of a table. Of the residue they lie apart, and are
    looked for there alone."""
    places = " union all ".join(
        f"select rowid from linkage.packed semi join (select {PLACE} from {table} where {part}) using (day, n) "
        f"where {part}"
        for part in ("is_residue", "not is_residue")
    )
    return _unpacked(f"(select * from linkage.packed where rowid in ({places}))")


def looked_up(table: str, condition: str = "true") -> str:
    """A query of (place, is_residue, key, birth, record), the rows of the index that have a key of a table; `place` is
    where a row lies in it.

    A row group with keys before and after the one that is looked up need not have it. So the keys alone are asked
    which rows do, before anything else of the row group is read; `features_of` does the same.
    """
    return (
        f"select rowid as place, is_residue, key, birth, {RECORD} as record from linkage.blocks where rowid in "
        f"(select rowid from linkage.blocks semi join {table} using (key) where {condition})"
    )


def _withdraw(connection: duckdb.DuckDBPyConnection, keys: str) -> None:
    """Take the features of `stale` out of the index, and keys of them; `keys` is a query as `index_of`."""
    if not _count(connection, "select count(*) from stale"):
        return
    connection.execute(f"""
        create or replace temp table leaving as select is_residue, {PLACE} from stale;
        delete from linkage.packed using leaving
        where
            linkage.packed.day = leaving.day and linkage.packed.n = leaving.n
            and linkage.packed.is_residue = leaving.is_residue;
        drop table leaving;
    """)
    _delete_keys(connection, keys)
    _count_names(connection, "stale", -1)


def _delete_keys(connection: duckdb.DuckDBPyConnection, keys: str) -> None:
    connection.execute(f"""
        create or replace temp table old_keys as {keys};
        create or replace temp table known as {looked_up("old_keys")};
        delete from linkage.blocks where rowid in (
            select place from known
            semi join (select is_residue, key, {RECORD} as record from old_keys) using (is_residue, key, record)
        );
        drop table old_keys;
        drop table known;
    """)


def _make_fresh(connection: duckdb.DuckDBPyConnection) -> None:
    _names_table(connection)
    connection.execute(f"""
        create or replace temp table fresh as
        with numbered as (
            select
                changed.*,
                -- A record that changed keeps its number, and by it its person.
                coalesce(
                    stale.record,
                    (greatest(coalesce(changed.birth_date - {FIRST_BIRTH}, 0), 0)::ubigint << 32)
                    + row_number() over (order by changed.hospcode, changed.pid)
                    + (select n_numbered from linkage.progress)
                ) as record,
                cid_class is distinct from 'valid' or linkage_pseudonym is null as is_residue,
                regexp_replace(translate(cid, '๐๑๒๓๔๕๖๗๘๙', '0123456789'), '[^0-9]', '', 'g') as digits
            from changed
            left join stale on changed.hospcode = stale.hospcode and changed.pid = stale.pid
        )

        select
            numbered.record::ubigint as record,
            numbered.hospcode,
            numbered.pid,
            numbered.is_residue,
            case when not numbered.is_residue then numbered.linkage_pseudonym::varchar end as person,
            case
                when numbered.cid_class in ('valid', 'bad_check_digit') and length(numbered.digits) = 13
                    then numbered.digits
            end as number,
            givens.plain as given,
            givens.roman as given_roman,
            givens.skeleton as given_key,
            surnames.plain as surname,
            surnames.roman as surname_roman,
            surnames.skeleton as surname_key,
            case
                when right(givens.roman, 1) = left(surnames.roman, 1) then givens.roman || surnames.roman[2 :]
                else nullif(concat(givens.roman, surnames.roman), '')
            end as whole_roman,
            case
                when right(givens.skeleton, 1) = left(surnames.skeleton, 1)
                    then givens.skeleton || surnames.skeleton[2 :]
                when givens.plain is not null then concat(givens.skeleton, surnames.skeleton)
            end as whole_key,
            numbered.birth_date as birth,
            case when numbered.sex in ('1', '2') then numbered.sex end as sex,
            nullif(numbered.nation, '999') as nation,
            numbered.province_code as province,
            nullif(numbered.mother_cid, '') as mother,
            right(
                nullif(
                    regexp_replace(coalesce(nullif(numbered.mobile, ''), numbered.telephone, ''), '[^0-9]', '', 'g'), ''
                ), 9
            ) as phone,
            upper(nullif(regexp_replace(numbered.passport, '[^0-9A-Za-z]', '', 'g'), '')) as passport,
            nullif(ltrim(trim(numbered.hn), '0'), '') as hn,
            date_trunc('month', numbered.d_update)::date as month
        from numbered
        left join typed_names as givens on numbered.given = givens.typed
        left join typed_names as surnames on numbered.surname = surnames.typed;

        drop table typed_names;
    """)
    _without_mothers_names(connection)


def _count_names(connection: duckdb.DuckDBPyConnection, table: str, sign: int) -> None:
    """Bring the frequencies up to date with the names of a table that came (1) or went (-1)."""
    connection.execute(f"""
        create or replace temp table counted as
        select kind, name, {sign} * count(*) as n
        from (unpivot (select given, surname from {table}) on given, surname into name kind value name)
        group by kind, name;

        update linkage.frequencies set n = linkage.frequencies.n + counted.n
        from counted where linkage.frequencies.kind = counted.kind and linkage.frequencies.name = counted.name;

        insert into linkage.frequencies from counted anti join linkage.frequencies using (kind, name);
        delete from linkage.frequencies where n <= 0;
        drop table counted;
    """)


def _names_table(connection: duckdb.DuckDBPyConnection) -> None:
    """`typed_names` (temporary): typed, plain, roman, skeleton of every name in `changed`."""
    connection.execute(
        "create or replace temp table typed_names (typed varchar, plain varchar, roman varchar, skeleton varchar)"
    )
    names = (
        connection.execute("""
        select distinct unnest([given, surname]) as typed from changed
    """)
        .pl()["typed"]
        .drop_nulls()
    )
    for start in range(0, len(names), PAGE):
        page = names[start : start + PAGE]
        worked_out = pl.DataFrame({"typed": page}).hstack(compared(page))
        connection.register("worked_out", worked_out)
        connection.execute("insert into typed_names select typed, plain, roman, skeleton from worked_out")
        connection.unregister("worked_out")


def _without_mothers_names(connection: duckdb.DuckDBPyConnection) -> None:
    """A child that is called as its mother has no name yet."""
    connection.execute(f"""
        create or replace temp table asked as
        select distinct {_key(_NUMBER_RULE, "mother")} as key from fresh where mother is not null and given is not null;
        create or replace temp table known as select is_residue, record from ({looked_up("asked", "not is_residue")});
        update fresh set given = null, given_roman = null, given_key = null, whole_roman = null, whole_key = null
        from (
            select distinct children.record
            from fresh as children
            inner join (
                select number, given_roman from fresh where not is_residue
                union all
                select number, given_roman from ({features_of("known")})
            ) as mothers on children.mother = mothers.number and children.given_roman = mothers.given_roman
        ) as called
        where fresh.record = called.record
    """)


def _count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0] or 0) if row else 0


def lay(connection: duckdb.DuckDBPyConnection, name: str, rows: str) -> None:
    """Add the rows of a query to `linkage.packed` or `linkage.blocks` as a run, which is sorted, so that what is
    looked up lies in few places of it; together with the runs before it that are not much larger."""
    n = _count(connection, f"select count(*) from ({rows})")
    if n == 0:
        return
    runs = connection.execute("select run, n from linkage.runs where name = ? order by run", [name]).fetchall()
    new = first = runs[-1][0] + 1 if runs else 0
    while runs and runs[-1][1] < n * RUN:
        first, before = runs.pop()
        n += before
    columns, order = _LAID[name]
    connection.execute(f"""
        insert into linkage.{name}
        select {columns}, {new} from (
            select {columns} from ({rows})
            union all
            select {columns} from linkage.{name} where run >= {first}
        )
        order by {order};

        delete from linkage.{name} where run >= {first} and run < {new};
        delete from linkage.runs where name = '{name}' and run >= {first};
        insert into linkage.runs values ('{name}', {new}, {n});
    """)


def keys_of(table: str) -> str:
    """A query of (is_residue, key, record, birth, is_paper): every key of every record of a table of features."""
    rules = (
        *(
            (_key(rule, parts), condition, name in _PAPERS)
            for rule, (name, (condition, parts)) in enumerate(_KEYS.items())
        ),
        (_REGISTRATION, "true", False),
    )
    # One pass over the table, however many rules there are.
    keys = ", ".join(
        f"{{key: case when {condition} then {key} end, is_paper: {is_paper}}}" for key, condition, is_paper in rules
    )
    return (
        "select is_residue, key, record, birth, is_paper from "
        f"(select is_residue, record, birth, unnest([{keys}], recursive := true) from {table}) where key is not null"
    )


def index_of(table: str) -> str:
    """A query of the rows of `linkage.blocks` that a table of features has."""
    return f"select is_residue, key, birth, {PLACE} from ({keys_of(table)})"


def keys_to_look_up(connection: duckdb.DuckDBPyConnection) -> None:
    """`wanted` (temporary): (record, key, birth, is_paper) of the fresh residue. A mistyped number looks for every
    right number that is one slip away: a digit changed, or two neighbours changed about."""
    connection.execute(f"""
        create or replace temp table wanted as
        select record, key, birth, is_paper from ({keys_of("(from fresh where is_residue)")})
        union
        select record, {_key(_NUMBER_RULE, "meant")} as key, birth, true as is_paper from (
            select record, birth, unnest(list_concat(
                [
                    number[: place - 1] || number[place + 1] || number[place] || number[place + 2 :]
                    for place in range(1, 13)
                ],
                flatten([
                    [number[: place - 1] || digit || number[place + 1 :] for digit in range(0, 10)]
                    for place in range(1, 14)
                ])
            )) as meant
            from fresh where is_residue and number is not null
        )
        where meant[13]::int = (11 - list_sum([meant[i]::int * (14 - i) for i in range(1, 13)]) % 11) % 10
    """)


def keys_of_new_numbers(connection: duckdb.DuckDBPyConnection) -> None:
    """`numbered` (temporary): the fresh records with a number, by key, as `wanted` has the others."""
    connection.execute(f"""
        create or replace temp table numbered as
        select record, key, birth, is_paper from ({keys_of("(from fresh where not is_residue)")})
    """)


def forget(connection: duckdb.DuckDBPyConnection, pairs: str, children: str = "") -> None:
    """Take records out of all that linkage keeps, and their mother's number out of `children`; both are queries of
    (hospcode, pid).

    Names that the records gave to a person of others remain.
    """
    create(connection)
    _find(connection, "stale", pairs)
    for (table,) in connection.execute("""
        select table_name from duckdb_columns()
        where schema_name = 'linkage' and column_name = 'record_l' and not internal
    """).fetchall():
        connection.execute(f"""
            delete from linkage.{table}
            where record_l in (select record from stale) or record_r in (select record from stale)
        """)
    connection.execute(f"delete from linkage.persons where (hospcode, pid) in ({pairs})")
    if children:
        _find(connection, "orphaned", children)
        without = "(select * replace (null::varchar as mother) from orphaned)"
        connection.execute(f"""
            update linkage.packed set told = without.told from ({packed(without)}) as without
            where linkage.packed.day = without.day and linkage.packed.n = without.n
        """)
        _delete_keys(connection, f"{index_of('orphaned')} except {index_of(without)}")
        connection.execute("drop table orphaned")
    _withdraw(connection, index_of("stale"))
