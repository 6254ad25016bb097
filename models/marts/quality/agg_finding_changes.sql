with areas as (
    {{ areas_of_facilities() }}
),

newest as (
    select
        hospcode,
        max(coalesce(sent_at, received_at)) as sent_at
    from {{ ref('fct_deliveries') }}
    where outcome <> 'duplicate'
    group by hospcode
),

senders as (
    select
        areas.area_level,
        areas.area_code,
        max(newest.sent_at) as newest_sent_at
    from newest
    inner join areas on newest.hospcode = areas.hospcode
    group by areas.area_level, areas.area_code
),

by_facility as (
    select
        hospcode,
        rule_code,
        count(case when newest_change = 'opened' then 1 end) as n_opened,
        count(case when newest_change = 'came_back' then 1 end) as n_came_back,
        count(case when newest_change = 'fixed' then 1 end) as n_fixed,
        count(case when state <> 'fixed' then 1 end) as n_open
    from {{ ref('fct_finding_histories') }}
    where state <> 'fixed' or newest_change = 'fixed'
    group by hospcode, rule_code
),

by_rule as (
    select
        areas.area_level,
        areas.area_code,
        by_facility.rule_code,
        sum(by_facility.n_opened) as n_opened,
        sum(by_facility.n_came_back) as n_came_back,
        sum(by_facility.n_fixed) as n_fixed,
        sum(by_facility.n_open) as n_open
    from by_facility
    inner join areas on by_facility.hospcode = areas.hospcode
    group by areas.area_level, areas.area_code, by_facility.rule_code
),

by_area as (
    select
        area_level,
        area_code,
        sum(n_opened) as n_opened,
        sum(n_came_back) as n_came_back,
        sum(n_fixed) as n_fixed,
        sum(n_open) as n_open
    from by_rule
    group by area_level, area_code
),

-- Who sent and has no finding has none: that is 0, and no missing row.
counted as (
    select
        senders.area_level,
        senders.area_code,
        'all' as rule_code,
        senders.newest_sent_at,
        coalesce(by_area.n_opened, 0) as n_opened,
        coalesce(by_area.n_came_back, 0) as n_came_back,
        coalesce(by_area.n_fixed, 0) as n_fixed,
        coalesce(by_area.n_open, 0) as n_open
    from senders
    left join by_area on senders.area_level = by_area.area_level and senders.area_code = by_area.area_code
    union all
    select
        by_rule.area_level,
        by_rule.area_code,
        by_rule.rule_code,
        senders.newest_sent_at,
        by_rule.n_opened,
        by_rule.n_came_back,
        by_rule.n_fixed,
        by_rule.n_open
    from by_rule
    inner join senders on by_rule.area_level = senders.area_level and by_rule.area_code = senders.area_code
)

select
    area_level,
    area_code,
    rule_code,
    newest_sent_at,
    cast(n_opened as bigint) as n_opened,
    cast(n_came_back as bigint) as n_came_back,
    cast(n_fixed as bigint) as n_fixed,
    cast(n_open as bigint) as n_open
from counted
