with readings as (
    select
        *,
        -- A register is sent whole or by what changed, and stands once; a dated file has a reading for each month.
        row_number() over (
            partition by hospcode, file, case when {{ is_dated('file') }} then report_month end
            order by sent_at desc, delivery_id desc
        ) as recency
    from {{ ref('int_readings__dated') }}
    where n_rows > 0
),

newest as (
    select * from readings
    where recency = 1
),

found as (
    select
        delivery_id,
        hospcode,
        file,
        rule,
        sum(n_rows) as n_rows
    from {{ ref('stg_ruam__receipt_rules') }}
    where level = 'row'
    group by delivery_id, hospcode, file, rule
),

-- A rule that set a row of a file aside anywhere is asked of that file everywhere.
asked as (
    select distinct
        file,
        rule
    from found
)

select
    asked.rule as rule_code,
    newest.hospcode,
    newest.file,
    newest.report_month,
    newest.n_rows as n_read,
    cast(coalesce(found.n_rows, 0) as bigint) as n_set_aside
from newest
inner join asked on newest.file = asked.file
left join found
    on
        newest.delivery_id = found.delivery_id
        and newest.hospcode = found.hospcode
        and newest.file = found.file
        and asked.rule = found.rule
