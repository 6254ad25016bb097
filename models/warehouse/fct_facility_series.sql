with cells as (
    select * from {{ ref('fct_facility_cells') }}
),

sent as (
    select
        hospcode,
        service_month,
        sum(case when series = 'visits' then n_visits else 0 end) as n_visits,
        sum(case when series = 'without_principal' then n_visits else 0 end) as n_without_principal,
        sum(case when series = 'ill_defined' then n_visits else 0 end) as n_ill_defined
    from cells
    where series in ('visits', 'without_principal', 'ill_defined')
    group by hospcode, service_month
),

volume as (
    select
        hospcode,
        service_month,
        'visits' as series,
        'all' as member,
        n_visits as n_events,
        {{ days_between('service_month', add_months('service_month', 1)) }} as n_asked
    from sent
),

without_principal as (
    select
        hospcode,
        service_month,
        'without_principal' as series,
        'all' as member,
        n_without_principal as n_events,
        n_visits as n_asked
    from sent
),

ill_defined as (
    select
        hospcode,
        service_month,
        'ill_defined' as series,
        'all' as member,
        n_ill_defined as n_events,
        n_visits - n_without_principal as n_asked
    from sent
    where n_visits > n_without_principal
),

mixed as (
    select * from cells
    where series in ('right', 'visit_class', 'department')
),

wholes as (
    select
        hospcode,
        service_month,
        series,
        sum(n_visits) as n_asked
    from mixed
    group by hospcode, service_month, series
),

members as (
    select distinct
        hospcode,
        series,
        member
    from mixed
),

-- In a month in which others were seen and this member was not, its share is 0, and counts.
shares as (
    select
        wholes.hospcode,
        wholes.service_month,
        wholes.series,
        members.member,
        coalesce(mixed.n_visits, 0) as n_events,
        wholes.n_asked
    from wholes
    inner join members on wholes.hospcode = members.hospcode and wholes.series = members.series
    left join mixed
        on
            wholes.hospcode = mixed.hospcode
            and wholes.service_month = mixed.service_month
            and wholes.series = mixed.series
            and members.member = mixed.member
),

all_series as (
    select * from volume
    union all
    select * from without_principal
    union all
    select * from ill_defined
    union all
    select * from shares
)

select
    hospcode,
    service_month,
    series,
    member,
    cast(n_events as bigint) as n_events,
    cast(n_asked as bigint) as n_asked
from all_series
