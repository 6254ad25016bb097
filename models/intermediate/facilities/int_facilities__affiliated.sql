with compared as (
    select
        hospcode,
        coalesce(affiliation_code, '') as affiliation_code,
        seen_from,
        lag(coalesce(affiliation_code, '')) over (partition by hospcode order by seen_from) as previous_code
    from {{ ref('int_facilities__dated') }}
),

-- A facility that a registry does not hold stays with its last affiliation: its late visits still need one.
spells as (
    select
        hospcode,
        affiliation_code,
        previous_code is null as is_first,
        seen_from as valid_from,
        lead(seen_from) over (partition by hospcode order by seen_from) as next_from
    from compared
    where previous_code is null or previous_code <> affiliation_code
),

affiliations as (
    select * from {{ ref('affiliations') }}
)

select
    spells.hospcode,
    nullif(spells.affiliation_code, '') as affiliation_code,
    coalesce(affiliations.group_code, 'unknown') as affiliation_group,
    -- What came before the first registry that holds it is not known; its affiliation is the best guess.
    case when spells.is_first then {{ date_literal('1900-01-01') }} else spells.valid_from end as valid_from,
    coalesce({{ add_days('spells.next_from', -1) }}, {{ date_literal('9999-12-31') }}) as valid_to
from spells
left join affiliations on spells.affiliation_code = affiliations.affiliation_code
