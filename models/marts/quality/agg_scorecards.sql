with data as (
    select
        min(service_month) as first_month,
        max(service_month) as last_month
    from {{ ref('fct_visits') }}
),

areas as (
    {{ areas_of_facilities() }}
),

checks_by_facility as (
    select
        hospcode,
        event_month,
        axis,
        sum(n_checked) as n_checked,
        sum(n_broken) as n_broken
    from {{ ref('fct_rule_results') }}
    group by hospcode, event_month, axis
),

checks as (
    select
        areas.area_level,
        areas.area_code,
        checks_by_facility.event_month as report_month,
        checks_by_facility.axis,
        sum(checks_by_facility.n_checked) as n_checked,
        sum(checks_by_facility.n_broken) as n_broken
    from checks_by_facility
    inner join areas on checks_by_facility.hospcode = areas.hospcode
    group by areas.area_level, areas.area_code, checks_by_facility.event_month, checks_by_facility.axis
),

reports as (
    select
        areas.area_level,
        areas.area_code,
        areas.peer_group,
        reports.report_month,
        sum(case when reports.is_due then 1 else 0 end) as n_due,
        sum(case when reports.is_due and reports.is_received then 1 else 0 end) as n_received,
        sum(case when reports.is_due and reports.is_on_time then 1 else 0 end) as n_on_time
    from {{ ref('fct_reports') }} as reports
    inner join areas on reports.hospcode = areas.hospcode
    cross join data
    where reports.report_month between data.first_month and data.last_month
    group by areas.area_level, areas.area_code, areas.peer_group, reports.report_month
),

-- What reading set aside is in no check, for no rule was put to it: it is told by the newest reading of each file.
read_by_facility as (
    select
        hospcode,
        report_month,
        sum(n_read) as n_read,
        sum(n_set_aside) as n_set_aside
    from {{ ref('fct_readings') }}
    group by hospcode, report_month
),

rows_read as (
    select
        areas.area_level,
        areas.area_code,
        read_by_facility.report_month,
        'correct' as axis,
        sum(read_by_facility.n_read) as n_read,
        sum(read_by_facility.n_set_aside) as n_set_aside
    from read_by_facility
    inner join areas on read_by_facility.hospcode = areas.hospcode
    group by areas.area_level, areas.area_code, read_by_facility.report_month
),

counted as (
    select
        reports.area_level,
        reports.area_code,
        reports.peer_group,
        reports.report_month,
        axes.axis,
        checks.n_checked,
        checks.n_broken,
        {{ as_published('checks.n_checked') }} as published_checked,
        {{ as_published('checks.n_broken') }} as published_broken,
        rows_read.n_read,
        rows_read.n_set_aside,
        {{ as_published('rows_read.n_read') }} as published_read,
        {{ as_published('rows_read.n_set_aside') }} as published_set_aside,
        case when axes.axis in ('complete', 'timely') then reports.n_due end as n_reports_due,
        case axes.axis when 'complete' then reports.n_received when 'timely' then reports.n_on_time end as n_reports_met
    from reports
    cross join {{ ref('dim_axes') }} as axes
    left join checks
        on
            reports.area_level = checks.area_level
            and reports.area_code = checks.area_code
            and reports.report_month = checks.report_month
            and axes.axis = checks.axis
    left join rows_read
        on
            reports.area_level = rows_read.area_level
            and reports.area_code = rows_read.area_code
            and reports.report_month = rows_read.report_month
            and axes.axis = rows_read.axis
),

-- No share on fewer than 30 checks or rows: one row would move it by points.
shares as (
    select
        *,
        case
            when published_checked >= 30 then 1 - least({{ ratio('published_broken', 'published_checked') }}, 1)
        end as passed,
        case
            when axis <> 'correct' then {{ ratio('n_reports_met', 'n_reports_due') }}
            when published_read >= 30 then 1 - least({{ ratio('published_set_aside', 'published_read') }}, 1)
        end as multiplier
    from counted
),

scored as (
    select
        *,
        case
            when coalesce(passed, multiplier) is not null
                then {{ rounded('100 * coalesce(passed, 1) * coalesce(multiplier, 1)', 4) }}
        end as score
    from shares
),

compared as (
    select
        *,
        score - lag(score) over (partition by area_level, area_code, axis order by report_month) as change
    from scored
),

-- An individuals chart: the mean of the months before, and the limits around it. The month itself takes no part.
baselines as (
    select
        *,
        count(score) {{ of_two_years_before() }} as n_before,
        {{ mean_of('score') }} {{ of_two_years_before() }} as mean_before,
        {{ mean_of('abs(change)') }} {{ of_two_years_before() }} as range_before
    from compared
),

reaching as (
    select
        *,
        {{ reach_of_ranges('range_before') }} as reach
    from baselines
),

limited as (
    select
        *,
        case when n_before >= 6 then {{ rounded('mean_before', 4) }} end as centre,
        case when n_before >= 6 then {{ rounded('greatest(mean_before - reach, 0)', 4) }} end as lower_limit,
        case when n_before >= 6 then {{ rounded('least(mean_before + reach, 100)', 4) }} end as upper_limit
    from reaching
),

peers as (
    select
        area_level,
        peer_group,
        report_month,
        axis,
        count(score) as n_peers,
        {{ quantile_of('score', 0.25, 4) }} as first_quartile,
        {{ quantile_of('score', 0.5, 4) }} as median_score,
        {{ quantile_of('score', 0.75, 4) }} as third_quartile
    from scored
    group by area_level, peer_group, report_month, axis
)

select
    limited.area_level,
    limited.area_code,
    limited.report_month,
    limited.axis,
    cast(limited.n_checked as bigint) as n_checked,
    cast(limited.n_broken as bigint) as n_broken,
    cast(limited.n_read as bigint) as n_read,
    cast(limited.n_set_aside as bigint) as n_set_aside,
    cast(limited.n_reports_due as integer) as n_reports_due,
    cast(limited.n_reports_met as integer) as n_reports_met,
    limited.score,
    {{ rounded('limited.change', 4) }} as change,
    cast(limited.n_before as integer) as n_months_before,
    limited.centre,
    limited.lower_limit,
    limited.upper_limit,
    case
        when limited.score is null or limited.centre is null then 'none'
        else {{ against_limits('limited.score', 'limited.lower_limit', 'limited.upper_limit') }}
    end as signal,
    limited.peer_group,
    cast(peers.n_peers as integer) as n_peers,
    case when peers.n_peers >= 5 then peers.first_quartile end as first_quartile,
    case when peers.n_peers >= 5 then peers.median_score end as median_score,
    case when peers.n_peers >= 5 then peers.third_quartile end as third_quartile,
    case
        when limited.score is null or peers.n_peers < 5 then 'none'
        when limited.score >= peers.third_quartile then 'top_quarter'
        when limited.score >= peers.median_score then 'upper_half'
        when limited.score >= peers.first_quartile then 'lower_half'
        else 'bottom_quarter'
    end as peer_band
from limited
left join peers
    on
        limited.area_level = peers.area_level
        and limited.peer_group = peers.peer_group
        and limited.report_month = peers.report_month
        and limited.axis = peers.axis
