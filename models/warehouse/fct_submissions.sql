with reports as (
    select * from {{ ref('int_reports__expected') }}
),

submissions as (
    select * from {{ ref('int_submissions__dated') }}
),

rhythm as (
    select * from {{ ref('submission_rhythm') }}
),

expected_of_new as (
    select * from {{ ref('submission_files') }}
    where is_expected_of_new
),

files as (
    select
        hospcode,
        file
    from submissions
    union
    select
        reports.hospcode,
        expected_of_new.file
    from (select distinct hospcode from reports) as reports
    cross join expected_of_new
),

sent as (
    select
        reports.hospcode,
        files.file,
        reports.report_month,
        reports.as_of_date,
        reports.is_expected,
        reports.due_on,
        case when reports.is_received then 1 else 0 end as n_reports,
        case when submissions.file is not null then 1 else 0 end as n_sent,
        submissions.n_rows,
        {{ date_of('submissions.sent_at') }} as sent_on
    from reports
    inner join files on reports.hospcode = files.hospcode
    left join submissions
        on
            reports.hospcode = submissions.hospcode
            and files.file = submissions.file
            and reports.report_month = submissions.report_month
),

habits as (
    select
        *,
        sum(n_reports) {{ of_months_before(['hospcode', 'file']) }} as n_reports_before,
        sum(n_reports * n_sent) {{ of_months_before(['hospcode', 'file']) }} as n_sent_before,
        {{ median_of('n_rows') }} {{ of_months_before(['hospcode', 'file']) }} as usual_rows
    from sent
),

judged as (
    select
        habits.*,
        habits.is_expected
        and (
            habits.file = 'SERVICE'
            or case
                when habits.n_reports_before >= rhythm.fewest_reports
                    then
                        habits.n_sent_before >= rhythm.usual_file_share * habits.n_reports_before
                        and {{ fewest_by_chance('habits.usual_rows') }} > 0
                else expected_of_new.file is not null
            end
        ) as is_file_expected,
        -- A register is sent again as it changes: few rows of it are no fault.
        coalesce(
            {{ is_dated('habits.file') }}
            and habits.n_sent_before >= rhythm.fewest_reports
            and habits.n_rows < rhythm.few_rows_share * habits.usual_rows
            and habits.n_rows < {{ fewest_by_chance('habits.usual_rows') }},
            false
        ) as is_few
    from habits
    cross join rhythm
    left join expected_of_new on habits.file = expected_of_new.file
)

select
    hospcode,
    file,
    report_month,
    coalesce(is_file_expected, false) as is_expected,
    due_on,
    sent_on,
    {{ days_between('due_on', 'sent_on') }} as days_after_due,
    n_rows,
    cast(usual_rows as double) as usual_rows,
    case
        when n_sent = 0 and as_of_date <= due_on then 'not_due'
        when n_sent = 0 then 'silent'
        when n_rows = 0 then 'zero'
        when is_few then 'partial'
        when sent_on > due_on then 'late'
        else 'received'
    end as state
from judged
where is_file_expected or n_sent = 1
