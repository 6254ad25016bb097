-- Regions, the unknown one included, add up to the nation; so do provinces; so does the flow between either.
with totals as (
    select
        period_type,
        period_start,
        area_level,
        sum(n_visits) as n_visits,
        sum(n_home_known_visits) as n_home_known_visits
    from {{ ref('agg_utilization') }}
    where dimension = 'all'
    group by period_type, period_start, area_level
),

flows as (
    select
        period_type,
        period_start,
        home_level as area_level,
        sum(n_visits) as n_visits,
        sum(case when home_code not in ('00', '99') then n_visits else 0 end) as n_home_known_visits
    from {{ ref('agg_patient_flow') }}
    group by period_type, period_start, home_level
)

select parts.*
from (
    select * from totals
    where area_level <> 'nation'
    union all
    select * from flows
) as parts
inner join totals as nation
    on
        nation.area_level = 'nation'
        and parts.period_type = nation.period_type
        and parts.period_start = nation.period_start
where parts.n_visits <> nation.n_visits or parts.n_home_known_visits <> nation.n_home_known_visits
