{#-
    Control charts with limits that allow for overdispersion: p′ for shares and u′ for visits a day (Laney 2002, Improved
    control charts for attributes, Quality Engineering 14:531-537). Each month is judged by the months before it alone,
    at most 24 and at least 12: fewer give limits that mean little (Provost and Murray 2011, The Health Care Data Guide,
    ch. 5). Sigma z below 1 counts as 1, so that a series too even by chance does not make alarms.
-#}
{%- set most_months, least_months, sigmas = history_months() | int, 12, 3 -%}

with series as (
    select
        *,
        {{ ratio('n_events', 'n_asked') }} as value
    from {{ ref('fct_facility_series') }}
    where n_asked > 0
),

histories as (
    select
        series.hospcode,
        series.service_month,
        series.series,
        series.member,
        earlier.service_month as earlier_month,
        earlier.value,
        earlier.n_asked,
        {{ ratio(
            'sum(earlier.n_events) over (partition by series.hospcode, series.service_month, series.series, series.member)',
            'sum(earlier.n_asked) over (partition by series.hospcode, series.service_month, series.series, series.member)'
        ) }} as center
    from series
    inner join series as earlier
        on
            series.hospcode = earlier.hospcode
            and series.series = earlier.series
            and series.member = earlier.member
            and series.service_month > earlier.service_month
            and {{ add_months('series.service_month', -most_months) }} <= earlier.service_month
),

standardised as (
    select
        hospcode,
        service_month,
        series,
        member,
        earlier_month,
        center,
        {{ ratio(
            'value - center',
            'sqrt(' ~ ratio("case when series = 'visits' then center else center * (1 - center) end", 'n_asked') ~ ')'
        ) }} as z
    from histories
),

ranges as (
    select
        *,
        abs(
            z - lag(z) over (partition by hospcode, service_month, series, member order by earlier_month)
        ) as moving_range
    from standardised
),

dispersions as (
    select
        hospcode,
        service_month,
        series,
        member,
        max(center) as center,
        greatest(1, coalesce({{ sigma_of_ranges(mean_of('moving_range')) }}, 1)) as sigma_z,
        count(*) as n_months
    from ranges
    group by hospcode, service_month, series, member
),

limited as (
    select
        series.hospcode,
        series.service_month,
        series.series,
        series.member,
        series.n_events,
        series.n_asked,
        series.value,
        coalesce(dispersions.n_months, 0) as n_months,
        case when dispersions.n_months >= {{ least_months }} then dispersions.center end as center,
        case
            when dispersions.n_months >= {{ least_months }}
                then {{ sigmas }} * dispersions.sigma_z * sqrt({{ ratio(
                    "case when series.series = 'visits' then dispersions.center"
                    " else dispersions.center * (1 - dispersions.center) end",
                    'series.n_asked'
                ) }})
        end as allowed
    from series
    left join dispersions
        on
            series.hospcode = dispersions.hospcode
            and series.service_month = dispersions.service_month
            and series.series = dispersions.series
            and series.member = dispersions.member
),

bounded as (
    select
        *,
        greatest(0, center - allowed) as lower_limit,
        case when series = 'visits' then center + allowed else least(1, center + allowed) end as upper_limit
    from limited
)

select
    hospcode,
    service_month,
    series,
    member,
    case series
        {%- for rule in rules_over('fct_facility_drifts') %}
        when '{{ rule.get("series", "none") }}' then '{{ rule.code }}'
        {%- endfor %}
    end as rule_code,
    n_events,
    n_asked,
    cast(n_months as bigint) as n_months,
    value,
    center,
    lower_limit,
    upper_limit,
    case
        when center is null then 'short_history'
        -- A share that has only ever been 0 or 1 has no spread to judge by.
        when allowed = 0 then 'no_spread'
        else {{ against_limits('value', 'lower_limit', 'upper_limit') }}
    end as verdict
from bounded
