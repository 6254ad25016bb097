with reports as (
    select * from {{ ref('int_reports__expected') }}
),

files as (
    select
        hospcode,
        report_month,
        sum(case when is_expected then 1 else 0 end) as n_files_expected,
        sum(case when is_expected and state not in ('silent', 'not_due') then 1 else 0 end) as n_files_received,
        sum(case when state not in ('silent', 'not_due') then 1 else 0 end) as n_files_sent,
        sum(case when is_expected and state in ('silent', 'partial') then 1 else 0 end) as n_files_short,
        max(case when file = 'SERVICE' then state end) as service_state,
        {{ texts_in_order("case when is_expected and state = 'silent' then file end") }} as missing_files,
        {{ texts_in_order("case when state = 'partial' then file end") }} as short_files
    from {{ ref('fct_submissions') }}
    group by hospcode, report_month
)

select
    reports.hospcode,
    reports.report_month,
    reports.as_of_date,
    reports.is_expected,
    reports.is_received,
    reports.is_received and reports.sent_on <= reports.due_on as is_on_time,
    reports.is_expected and (reports.is_received or reports.as_of_date > reports.due_on) as is_due,
    reports.due_on,
    reports.sent_on,
    {{ days_between('reports.due_on', 'reports.sent_on') }} as days_after_due,
    reports.n_reports_before,
    reports.usual_days,
    cast(coalesce(files.n_files_expected, 0) as integer) as n_files_expected,
    cast(coalesce(files.n_files_received, 0) as integer) as n_files_received,
    files.missing_files,
    files.short_files,
    case
        when coalesce(files.n_files_sent, 0) = 0 and reports.is_closed then 'closed'
        when coalesce(files.n_files_sent, 0) = 0 and not reports.is_expected then 'not_registered'
        when coalesce(files.n_files_sent, 0) = 0 and reports.as_of_date <= reports.due_on then 'not_due'
        when coalesce(files.n_files_sent, 0) = 0 then 'silent'
        when files.service_state = 'zero' then 'zero'
        when files.n_files_short > 0 or not reports.is_received then 'partial'
        when reports.sent_on > reports.due_on then 'late'
        else 'received'
    end as state
from reports
left join files on reports.hospcode = files.hospcode and reports.report_month = files.report_month
