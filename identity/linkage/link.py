"""Link what is new: candidates from the index, scores from the model, persons that keep their names.

A person with a usable number is named by its linkage pseudonym; any other by its first record:
`person:<hospcode>:<pid>`.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from identity.linkage import features
from identity.linkage.clusters import MOST_BIRTH_DATES, Clusters, Edge, cluster
from identity.linkage.model import Model, linker
from ruam.errors import LinkageError

MOST_RECORDS_A_MONTH = 20
LARGEST_BLOCK = 400
"""Records that may share a key; a key of more tells nothing, and its pairs would be many."""

FACILITIES_THAT_DIFFER = 3
"""That know a child by name, and that know none: from there on they are taken for two. An assumption: a name must be
registered within 15 days of birth, so that few see a child before; and wrong links of so many make nine wrong pairs."""

_NO_PAPER_SAYS_SO = """(
    coalesce(l.passport <> r.passport, true)
    and coalesce(damerau_levenshtein(l.number, r.number) > 1, true)
    and (l.hospcode <> r.hospcode or coalesce(l.hn <> r.hn, true))
)"""
"""Neither a passport, nor a number, nor the paper file of one facility is the same in both."""

_MAY_BE_BORN = """case
    when l.birth is null or r.birth is null or l.birth = r.birth then true
    when year(l.birth) = year(r.birth) and (dayofyear(l.birth) = 1 or dayofyear(r.birth) = 1) then true
    when year(l.birth) = year(r.birth) and month(l.birth) = day(r.birth) and day(l.birth) = month(r.birth) then true
    when abs(year(l.birth) - year(r.birth)) = 1 and month(l.birth) = month(r.birth) and day(l.birth) = day(r.birth)
        then true
    when abs(l.birth - r.birth) <= 1 then true
    -- A slip is in the day, the month or the year: texts are compared only where the two others agree.
    when (year(l.birth) = year(r.birth))::int + (month(l.birth) = month(r.birth))::int
        + (day(l.birth) = day(r.birth))::int < 2 then false
    else damerau_levenshtein(strftime(l.birth, '%Y%m%d'), strftime(r.birth, '%Y%m%d')) <= 1
end"""
"""A slip explains the two birth dates, or one is not known; the cheapest questions first. People of one house share
surname, phone, province and mother, and sons bear their fathers' names; a score counts each as if it spoke for itself.
So records whose birth dates no slip explains are no candidates, but by a paper that both bear."""

_RELATIVES = f"""(
    {_NO_PAPER_SAYS_SO}
    and coalesce(
        (l.surname_roman = r.surname_roman or l.mother = r.mother)
        and l.given_key <> r.given_key
        and jaro_winkler_similarity(l.given_roman, r.given_roman) < 0.75
        and jaro_winkler_similarity(l.whole_roman, r.whole_roman) < 0.92,
        false
    )
)"""
"""People of one family or one mother whose given names are nothing alike: twins share all else, and a brother born in
the year of another's 1 January nearly all."""

_NOTHING_OF_ITS_OWN = f"""(
    {_NO_PAPER_SAYS_SO}
    and (l.given is null or r.given is null)
    and coalesce(l.sex <> r.sex and l.birth <> r.birth, false)
)"""
"""Who has no name yet has a sex and a birth date of its own, and all else of its family: neither is the same."""


@dataclass(frozen=True)
class Linked:
    """What one run did."""

    n_new: int
    n_residue: int
    n_candidates: int
    n_linked: int
    """New records without a usable number that now share a person with another record."""
    n_bridges: int
    n_apart: int
    n_dropped_keys: int
    """Keys that more records share than LARGEST_BLOCK."""
    is_anew: bool
    """Whether an earlier version had made the index, so that all records were linked anew."""


def link(connection: duckdb.DuckDBPyConnection, model: Model, *, threshold: float | None = None) -> Linked:
    """Link records that are new or changed since the last run; all or nothing.

    A person's name never changes: where a new record speaks for two persons being one, both stay and the pair is listed
    in `linkage.bridges`. `threshold` overrides the model's. Raises `LinkageError` when a person would have more than
    20 records in a month or more than 3 birth dates, `SetupError` when `records` lacks columns.
    """
    link_at = model.thresholds.link if threshold is None else threshold
    connection.execute("begin")
    try:
        is_anew = features.create(connection)
        taken = features.take_in(connection)
        _take_names_over(connection)
        # Who has a number now is no residue any more.
        connection.execute(
            "delete from linkage.persons where record in (select record from fresh where not is_residue)"
        )
        # A record that changed and was alone is linked anew; one that shares a person stays with it.
        connection.execute("""
            delete from linkage.persons
            where record in (select record from fresh)
            and person in (select person from linkage.persons group by person having count(*) = 1)
            and not is_numbered
        """)
        n_dropped = _candidates(connection)
        n_candidates = _score(connection, model)
        _tell_births_apart(connection)
        clusters = _cluster(connection, link_at)
        _keep(connection, clusters, link_at)
        _require_plausible(connection)
        n_linked = _count(
            connection,
            "select count(*) from linkage.persons semi join fresh using (record) where probability is not null",
        )
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return Linked(
        taken.n_new,
        taken.n_residue,
        n_candidates,
        n_linked,
        len(clusters.bridges),
        clusters.n_apart,
        n_dropped,
        is_anew,
    )


def _take_names_over(connection: duckdb.DuckDBPyConnection) -> None:
    """Persons of an index that an earlier version made keep their names, by the records that are numbered anew now."""
    connection.execute("""
        update linkage.persons set record = fresh.record
        from fresh
        where
            linkage.persons.record is null and fresh.is_residue
            and linkage.persons.hospcode = fresh.hospcode and linkage.persons.pid = fresh.pid;

        delete from linkage.persons where record is null;
    """)


def _count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


def _candidates(connection: duckdb.DuckDBPyConnection) -> int:
    """`pairs` (temporary): join_key_l < join_key_r. Returns how many keys were too common to use.

    New residue looks among all records; new records with a number only among the residue that was there before.
    """
    features.keys_to_look_up(connection)
    connection.execute(f"""
        create or replace temp table found as
        select is_residue, key, record, birth, record in (select record from fresh where is_residue) as is_new
        from ({features.looked_up("wanted")});

        create or replace temp table common as
        select key from found group by key having count(*) > {LARGEST_BLOCK};

        create or replace temp table pairs as
        select distinct
            least(l.record, r.record) as join_key_l, greatest(l.record, r.record) as join_key_r, '0' as match_key
        from wanted as l
        inner join found as r using (key)
        where
            -- Two new records find each other twice, but for mistyped numbers, which do so from one side.
            (l.record < r.record or (l.record > r.record and (not r.is_new or l.is_paper)))
            and l.key not in (select key from common) and (l.is_paper or {_MAY_BE_BORN});

        create or replace temp table candidates as select distinct is_residue, record from found;
    """)
    if _count(connection, "select count(*) from linkage.persons") > 0:
        features.keys_of_new_numbers(connection)
        connection.execute(f"""
            create or replace temp table known as
            select is_residue, key, record, birth from ({features.looked_up("numbered", "is_residue")})
            where record not in (select record from fresh);

            insert into pairs
            select distinct least(l.record, r.record), greatest(l.record, r.record), '0'
            from numbered as l
            inner join known as r using (key)
            where
                l.key not in (select key from known group by key having count(*) > {LARGEST_BLOCK})
                and (l.is_paper or {_MAY_BE_BORN});

            insert into candidates select distinct is_residue, record from known;
            drop table numbered;
            drop table known;
        """)
    return _count(connection, "select count(*) from common")


def _score(connection: duckdb.DuckDBPyConnection, model: Model) -> int:
    """`scored` (temporary): record_l, record_r, probability, weight of the pairs above the wide threshold. Returns the
    number of candidate pairs. `compared` (temporary) has the features of all candidates."""
    connection.execute(f"""
        create or replace temp table paired as
        select is_residue, record from fresh union select is_residue, record from candidates;
        delete from paired where record not in (select join_key_l from pairs union select join_key_r from pairs);
        create or replace temp table compared as {features.features_of("paired")};
        drop table candidates;
        drop table paired;
    """)
    n_pairs = _count(connection, "select count(*) from pairs")
    connection.execute("""
        delete from linkage.edges
        where record_l in (select record from fresh) or record_r in (select record from fresh);

        create or replace temp table scored (record_l ubigint, record_r ubigint, probability double, weight double)
    """)
    if n_pairs == 0:
        return 0
    n_records = _count(connection, "select count(*) from linkage.features")
    with linker(connection, "compared", model.settings_for(n_records), model.trained.n_records) as (made, api):
        made.table_management.register_blocked_pairs_for_predict(api.register("pairs"))
        predicted = made.inference.predict(threshold_match_probability=model.thresholds.wide, warning_mode="never")
        connection.execute(f"""
            insert into scored
            select record_l, record_r, match_probability, match_weight from {predicted.physical_name}
        """)
    connection.execute(f"""
        insert into linkage.edges
        select
            scored.record_l,
            scored.record_r,
            l.person,
            r.person,
            scored.probability,
            scored.weight >= {model.thresholds.strong_weight} or coalesce(l.hn = r.hn, false)
        from scored
        inner join compared as l on scored.record_l = l.record
        inner join compared as r on scored.record_r = r.record
        where not {_RELATIVES} and not {_NOTHING_OF_ITS_OWN}
        order by all;
    """)
    return n_pairs


def _tell_births_apart(connection: duckdb.DuckDBPyConnection) -> None:
    """Children of one mother and one day who differ in sex, in a name, or in their number at one facility are several.

    A record of such a birth that bears no name yet may be any of those of its sex: it is linked to none of several. So
    is one of a birth of which FACILITIES_THAT_DIFFER facilities know a name, and as many others none.
    """
    connection.execute(f"""
        insert into linkage.apart
        select pairs.join_key_l, pairs.join_key_r
        from pairs
        inner join compared as l on pairs.join_key_l = l.record
        inner join compared as r on pairs.join_key_r = r.record
        where
            l.mother = r.mother
            and l.birth = r.birth
            and coalesce(l.person <> r.person, true)
            and {_NO_PAPER_SAYS_SO}
            and (
                (l.sex <> r.sex and coalesce(l.given_roman <> r.given_roman, true))
                or coalesce(
                    l.given_key <> r.given_key and jaro_winkler_similarity(l.given_roman, r.given_roman) < 0.75, false
                )
                or (l.hospcode = r.hospcode and coalesce(l.hn <> r.hn, l.given is null or r.given is null))
            );

        -- Two with a number each are no pair, for nothing could link them.
        create or replace temp table births as
        select l.mother, l.birth, l.sex
        from linkage.apart
        inner join compared as l on linkage.apart.record_l = l.record
        inner join compared as r on linkage.apart.record_r = r.record
        where coalesce(l.sex = r.sex, true)
        union
        select mother, birth, sex from compared group by all having count(distinct person) > 1
        -- A name comes within days: facilities that know none beside as many that do have seen another child.
        union
        select mother, birth, sex from compared group by all
        having least(
            count(distinct hospcode) filter (given is null), count(distinct hospcode) filter (given is not null)
        ) >= {FACILITIES_THAT_DIFFER};

        delete from linkage.edges
        using compared as l, compared as r, births
        where
            linkage.edges.record_l = l.record
            and linkage.edges.record_r = r.record
            and births.mother in (l.mother, r.mother)
            and l.birth = births.birth
            and r.birth = births.birth
            and births.sex in (l.sex, r.sex)
            and (l.given is null or r.given is null);
    """)


def _cluster(connection: duckdb.DuckDBPyConnection, link_at: float) -> Clusters:
    """Group the fresh residue, the records it is linked to, and what already belongs with those (`touched`, temporary).

    `members` (temporary) has the features of these and of all records of their persons.
    """
    connection.execute(f"""
        create or replace temp table joined as
        select * from linkage.edges
        where
            probability >= {link_at}
            and (record_l in (select record from fresh) or record_r in (select record from fresh));

        create or replace temp table touched as
        select is_residue, record from fresh where is_residue
        union
        select is_residue, record from compared
        where record in (select record_l from joined union select record_r from joined)
        union
        select true, others.record
        from linkage.persons as others
        where others.person in (
            select person from linkage.persons
            where record in (select record_l from joined union select record_r from joined)
        );

        -- What is compared has been read.
        create or replace temp table unread as
        select * from touched
        union
        select true, record from linkage.persons
        where person in (select person from linkage.persons semi join touched using (record));
        create or replace temp table members as select * from compared semi join unread using (record);
        delete from unread where record in (select record from compared);
        insert into members {features.features_of("unread")};
        drop table unread;
    """)
    rows = connection.execute("""
        select
            f.record,
            f.hospcode,
            coalesce(f.person, p.person),
            case when not (month(f.birth) = 1 and day(f.birth) = 1) then f.birth end
        from members as f
        semi join touched using (record)
        left join linkage.persons as p using (record)
    """).fetchall()
    edges = connection.execute("select record_l, record_r, probability, is_strong from joined").fetchall()
    apart = connection.execute("""
        select record_l, record_r from linkage.apart
        where record_l in (select record from touched) and record_r in (select record from touched)
    """).fetchall()
    return cluster(
        [record for record, *_ in rows],
        [Edge(*edge) for edge in edges],
        owners={record: owner for record, _, owner, _ in rows if owner is not None},
        places={record: place for record, place, *_ in rows},
        births={record: birth for record, *_, birth in rows if birth is not None},
        apart=apart,
    )


def _keep(connection: duckdb.DuckDBPyConnection, clusters: Clusters, link_at: float) -> None:
    groups = pl.DataFrame(
        {"record": list(clusters.group_of), "first": list(clusters.group_of.values())},
        schema={"record": pl.UInt64, "first": pl.UInt64},
    )
    owners = pl.DataFrame(
        {"first": list(clusters.owner_of), "owner": list(clusters.owner_of.values())},
        schema={"first": pl.UInt64, "owner": pl.String},
    )
    bridges = pl.DataFrame(
        [(edge.left, edge.right, one, other, edge.probability) for edge, one, other in clusters.bridges],
        schema={"l": pl.UInt64, "r": pl.UInt64, "one": pl.String, "other": pl.String, "p": pl.Float64},
        orient="row",
    )
    connection.register("groups_found", groups.join(owners, on="first", how="left"))
    connection.register("bridges_found", bridges)
    connection.execute(f"""
        insert into linkage.persons
        with named as (
            select
                g.record,
                g.first,
                coalesce(g.owner, concat('person:', f.hospcode, ':', f.pid)) as person,
                count(*) over (partition by g.first) as n
            from groups_found as g
            inner join members as f on g.first = f.record
        )

        select
            named.record,
            fresh.hospcode,
            fresh.pid,
            named.person,
            not starts_with(named.person, 'person:'),
            null
        from named
        inner join fresh using (record)
        where fresh.is_residue and named.record not in (select record from linkage.persons)
        order by named.record;

        -- The likeliest pair that speaks for a record's place in its person.
        create or replace temp table reasons as
        with both_ways as (
            select record_l as record, record_r as other, probability from linkage.edges where probability >= {link_at}
            union all
            select record_r, record_l, probability from linkage.edges where probability >= {link_at}
        )

        select b.record, max(b.probability) as probability
        from both_ways as b
        inner join groups_found as g on b.record = g.record
        inner join groups_found as o on b.other = o.record and g.first = o.first
        group by b.record;

        update linkage.persons set probability = reasons.probability
        from reasons where linkage.persons.record = reasons.record;

        insert into linkage.bridges select * from bridges_found;
    """)
    connection.unregister("groups_found")
    connection.unregister("bridges_found")


def _require_plausible(connection: duckdb.DuckDBPyConnection) -> None:
    """Nobody comes by linkage to have more records in a month, or more birth dates, than a person can have.

    What records of one number say among themselves is not linkage's.
    """
    row = connection.execute(f"""
        with told as (
            select p.person, f.month, f.birth, true as is_residue
            from linkage.persons as p
            inner join members as f using (record)
            where p.person in (select person from linkage.persons semi join touched using (record))
            union all
            select c.person, c.month, c.birth, false as is_residue
            from compared as c
            where not c.is_residue and c.person in (select person from linkage.persons where is_numbered)
        ),

        months as (
            select person, max(n) as n from (
                select person, month, count(*) as n from told group by person, month
                having bool_or(is_residue)
            ) group by person
        ),

        births as (
            select person, count(distinct birth) as n from told
            where not (month(birth) = 1 and day(birth) = 1)
            group by person
            having count(distinct birth) > count(distinct birth) filter (not is_residue)
        )

        select
            count(*) filter (months.n > {MOST_RECORDS_A_MONTH}),
            count(*) filter (births.n > {MOST_BIRTH_DATES})
        from months left join births using (person)
    """).fetchone()
    assert row is not None
    if any(row):
        raise LinkageError(
            f"Linkage would make {row[0]:,} persons with more than {MOST_RECORDS_A_MONTH} records in a month and "
            f"{row[1]:,} with more than {MOST_BIRTH_DATES} birth dates: nothing is changed, the last links stay in "
            "force. Look at the records of the last deliveries, or train the model anew."
        )


def persons(connection: duckdb.DuckDBPyConnection, model: Model) -> pl.DataFrame:
    """All records without a usable number: hospcode, pid, person, wide_person, person_tier, match_probability.

    `person` and `wide_person` are names inside the linkage zone; see `links.write_links` for what may leave it.
    """
    rows = connection.execute("""
        select
            hospcode,
            pid,
            person,
            is_numbered or count(*) over (partition by person) > 1 as is_linked,
            probability
        from linkage.persons
        order by hospcode, pid
    """).pl()
    wide = _wide_persons(connection, model)
    return rows.select(
        "hospcode",
        "pid",
        "person",
        pl.col("person").replace(wide).alias("wide_person"),
        pl.when("is_linked").then(pl.lit("B")).otherwise(pl.lit("C")).alias("person_tier"),
        pl.when("is_linked").then("probability").alias("match_probability"),
    )


def _wide_persons(connection: duckdb.DuckDBPyConnection, model: Model) -> dict[str, str]:
    """Person to the person that it would be at the wide threshold, where that is another."""
    edges = connection.execute(f"""
        select coalesce(pl.person, e.person_l), coalesce(pr.person, e.person_r), max(e.probability)
        from linkage.edges as e
        left join linkage.persons as pl on e.record_l = pl.record
        left join linkage.persons as pr on e.record_r = pr.record
        where
            e.probability >= {model.thresholds.wide}
            and coalesce(pl.person, e.person_l) <> coalesce(pr.person, e.person_r)
            and not exists (
                select 1 from linkage.apart as a where a.record_l = e.record_l and a.record_r = e.record_r
            )
        group by all
    """).fetchall()
    names = sorted({name for edge in edges for name in edge[:2]})
    number = {name: at for at, name in enumerate(names)}
    clusters = cluster(
        range(len(names)),
        [Edge(number[one], number[other], probability) for one, other, probability in edges],
        # Two people with numbers stay two at any threshold; what they are called by sorts last.
        owners={at: name for name, at in number.items() if not name.startswith("person:")},
        places={at: name for name, at in number.items()},
        births={},
        apart=(),
    )
    wide = {names[at]: clusters.owner_of.get(first, names[first]) for at, first in clusters.group_of.items()}
    return {name: other for name, other in wide.items() if name != other}
