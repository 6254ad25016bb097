with
{%- for file, date in dated_files().items() %}
{{ file }} as (
    select
        hospcode,
        '{{ file | upper }}' as file,
        {{ month_start(date) }} as report_month,
        count(*) as n_rows
    from {{ ref('stg_f43__' ~ file) }}
    where {{ date }} is not null
    group by hospcode, {{ month_start(date) }}
),
{% endfor %}
standing as (
    {%- for file in dated_files() %}
    select * from {{ file }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

rhythm as (
    select * from {{ ref('submission_rhythm') }}
),

deliveries as (
    select * from {{ ref('stg_ruam__deliveries') }}
),

landed as (
    select
        delivery_id,
        hospcode,
        file,
        report_month,
        sum(n_rows) as n_rows
    from {{ ref('stg_ruam__landed_counts') }}
    group by delivery_id, hospcode, file, report_month
),

so_far as (
    select
        landed.hospcode,
        landed.file,
        landed.report_month,
        deliveries.came_at as sent_at,
        sum(landed.n_rows) over (
            partition by landed.hospcode, landed.file, landed.report_month
            order by deliveries.came_at, landed.delivery_id
            rows between unbounded preceding and current row
        ) as n_rows
    from landed
    inner join deliveries on landed.delivery_id = deliveries.delivery_id
),

-- A few rows that came early, with the month before, are no report; nor is a correction months later a late one.
arrived as (
    select
        standing.hospcode,
        standing.file,
        standing.report_month,
        standing.n_rows,
        min(so_far.sent_at) as sent_at
    from standing
    cross join rhythm
    inner join so_far
        on
            standing.hospcode = so_far.hospcode
            and standing.file = so_far.file
            and standing.report_month = so_far.report_month
            and so_far.n_rows >= rhythm.arrived_share * standing.n_rows
    group by standing.hospcode, standing.file, standing.report_month, standing.n_rows
),

readings as (
    select * from {{ ref('int_readings__dated') }}
),

registers as (
    select
        hospcode,
        file,
        report_month,
        max(n_landed) as n_rows,
        min(sent_at) as sent_at
    from readings
    where n_landed > 0 and not {{ is_dated('file') }}
    group by hospcode, file, report_month
),

-- A header with no row under it says that there was nothing; a file that was left out says nothing.
declared as (
    select
        hospcode,
        file,
        report_month,
        min(sent_at) as sent_at
    from readings
    where n_rows = 0 and has_header
    group by hospcode, file, report_month
),

with_rows as (
    select
        hospcode,
        file,
        report_month,
        n_rows,
        sent_at
    from arrived
    union all
    select
        hospcode,
        file,
        report_month,
        n_rows,
        sent_at
    from registers
)

select
    coalesce(with_rows.hospcode, declared.hospcode) as hospcode,
    coalesce(with_rows.file, declared.file) as file,
    coalesce(with_rows.report_month, declared.report_month) as report_month,
    cast(coalesce(with_rows.n_rows, 0) as bigint) as n_rows,
    coalesce(with_rows.sent_at, declared.sent_at) as sent_at
from with_rows
full outer join declared
    on
        with_rows.hospcode = declared.hospcode
        and with_rows.file = declared.file
        and with_rows.report_month = declared.report_month
