-- The monthly series of the nation holds each visit exactly once.
with published as (
    select coalesce(sum(n_visits), 0) as n_visits
    from {{ ref('agg_utilization') }}
    where area_level = 'nation' and dimension = 'all' and period_type = 'month'
),

visits as (
    select count(*) as n_visits
    from {{ ref('fct_visits') }}
)

select
    published.n_visits as n_published,
    visits.n_visits as n_held
from published
cross join visits
where published.n_visits <> visits.n_visits
