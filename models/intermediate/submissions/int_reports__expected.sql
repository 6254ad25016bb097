with submissions as (
    select * from {{ ref('int_submissions__dated') }}
),

rhythm as (
    select * from {{ ref('submission_rhythm') }}
),

-- The newest delivery says what day it is: a build of old data tells what was late then, whenever it is made.
clock as (
    select {{ date_of('max(came_at)') }} as as_of_date
    from {{ ref('stg_ruam__deliveries') }}
),

span as (
    select
        {{ fiscal_year_start('least(min(report_month), ' ~ add_months('max(report_month)', -11) ~ ')') }}
            as first_month,
        greatest(
            max(report_month), {{ add_months(month_start('max(clock.as_of_date)'), -1) }}
        ) as last_month
    from submissions
    cross join clock
    where submissions.file = 'SERVICE'
),

months as (
    select distinct {{ month_start('days.calendar_date') }} as report_month
    from ({{ date_spine('2015-01-01', '2030-12-31') }}) as days
    inner join span on days.calendar_date between span.first_month and span.last_month
),

-- Of a facility that is closed and does not say since when: since the registry that said so first.
closings as (
    select
        hospcode,
        {{ add_days('max(case when is_open then valid_to end)', 1) }} as closed_since
    from {{ ref('int_facilities__dated') }}
    group by hospcode
),

facilities as (
    select
        facilities.hospcode,
        facilities.registered_date,
        facilities.is_expected_to_send,
        case
            when not facilities.is_open
                then coalesce(facilities.closed_date, closings.closed_since, {{ date_literal('1900-01-01') }})
        end as closed_date
    from {{ ref('int_facilities__classified') }} as facilities
    left join closings on facilities.hospcode = closings.hospcode
    where facilities.hospcode <> '00000'
),

came as (
    select
        hospcode,
        report_month,
        max(case when file = 'SERVICE' then sent_at end) as service_sent_at,
        min(sent_at) as any_sent_at
    from submissions
    group by hospcode, report_month
),

-- Who need not send and does is shown when it did, and never owed.
reports as (
    select
        facilities.hospcode,
        months.report_month,
        clock.as_of_date,
        facilities.is_expected_to_send
        and coalesce(facilities.registered_date <= months.report_month, true)
        and coalesce(facilities.closed_date > months.report_month, true) as is_expected,
        coalesce(facilities.closed_date <= months.report_month, false) as is_closed,
        came.service_sent_at is not null as is_received,
        {{ date_of('coalesce(came.service_sent_at, came.any_sent_at)') }} as sent_on,
        {{ days_between(
            add_days(add_months('months.report_month', 1), -1), date_of('came.service_sent_at')
        ) }} as days_taken
    from facilities
    cross join months
    cross join clock
    cross join span
    left join came on facilities.hospcode = came.hospcode and months.report_month = came.report_month
    where
        came.any_sent_at is not null
        or (facilities.is_expected_to_send and coalesce(facilities.closed_date > span.first_month, true))
),

habits as (
    select
        *,
        count(days_taken) {{ of_months_before(['hospcode']) }} as n_reports_before,
        {{ median_of('days_taken') }} {{ of_months_before(['hospcode']) }} as usual_days
    from reports
)

select
    habits.hospcode,
    habits.report_month,
    habits.as_of_date,
    habits.is_expected,
    habits.is_closed,
    habits.is_received,
    habits.sent_on,
    cast(habits.n_reports_before as integer) as n_reports_before,
    case when habits.n_reports_before >= rhythm.fewest_reports then cast(habits.usual_days as double) end as usual_days,
    {{ add_days(
        add_months('habits.report_month', 1),
        "case when habits.n_reports_before >= rhythm.fewest_reports"
        ~ " then least(greatest(ceil(habits.usual_days) + rhythm.tolerance_days, rhythm.shortest_due_days),"
        ~ " rhythm.longest_due_days) else rhythm.default_due_days end - 1"
    ) }} as due_on
from habits
cross join rhythm
