with versions as (
    select
        hospcode,
        coalesce(affiliation_code, '') as affiliation_code,
        as_of_date,
        row_number() over (partition by hospcode, as_of_date order by version desc) as recency
    from {{ ref('stg_registry__facilities') }}
),

changes as (
    select
        hospcode,
        affiliation_code,
        as_of_date,
        lag(affiliation_code) over (partition by hospcode order by as_of_date) as previous_code
    from versions
    where recency = 1
),

spells as (
    select
        hospcode,
        affiliation_code,
        previous_code is null as is_first,
        as_of_date as valid_from,
        lead(as_of_date) over (partition by hospcode order by as_of_date) as next_from
    from changes
    where previous_code is null or previous_code <> affiliation_code
),

affiliations as (
    select * from {{ ref('affiliations') }}
)

select
    spells.hospcode,
    nullif(spells.affiliation_code, '') as affiliation_code,
    coalesce(affiliations.group_code, 'unknown') as affiliation_group,
    -- What came before the first registry is not known; its affiliation is the best guess.
    case when spells.is_first then {{ date_literal('1900-01-01') }} else spells.valid_from end as valid_from,
    coalesce({{ add_days('spells.next_from', -1) }}, {{ date_literal('9999-12-31') }}) as valid_to
from spells
left join affiliations on spells.affiliation_code = affiliations.affiliation_code
