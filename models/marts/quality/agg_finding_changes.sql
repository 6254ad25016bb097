with areas as (
    {{ areas_of_facilities() }}
),

senders as (
    select
        hospcode,
        {{ date_of('max(coalesce(sent_at, received_at))') }} as newest_sent_on
    from {{ ref('fct_deliveries') }}
    where outcome <> 'duplicate'
    group by hospcode
),

findings as (
    select
        hospcode,
        rule_code,
        newest_change,
        case when state <> 'fixed' then 1 end as is_open
    from {{ ref('fct_finding_histories') }}
    where state <> 'fixed' or newest_change = 'fixed'
),

-- Who sent, and whose rows came in what others sent.
facilities as (
    select hospcode from senders
    union
    select hospcode from findings
),

-- Each finding by its rule and once among all. Who sent and has no finding has none: that is 0, and no missing row.
counted as (
    select * from findings
    union all
    select
        facilities.hospcode,
        'all' as rule_code,
        findings.newest_change,
        findings.is_open
    from facilities
    left join findings on facilities.hospcode = findings.hospcode
)

select
    areas.area_level,
    areas.area_code,
    counted.rule_code,
    max(senders.newest_sent_on) as newest_sent_on,
    count(case when counted.newest_change = 'opened' then 1 end) as n_opened,
    count(case when counted.newest_change = 'came_back' then 1 end) as n_came_back,
    count(case when counted.newest_change = 'fixed' then 1 end) as n_fixed,
    count(counted.is_open) as n_open
from counted
inner join areas on counted.hospcode = areas.hospcode
left join senders on counted.hospcode = senders.hospcode
group by areas.area_level, areas.area_code, counted.rule_code
