with readings as (
    select * from {{ ref('fct_readings') }}
    where is_standing
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
    readings.hospcode,
    readings.file,
    readings.report_month,
    readings.n_read,
    cast(coalesce(found.n_rows, 0) as bigint) as n_set_aside
from readings
inner join asked on readings.file = asked.file
left join found
    on
        readings.delivery_id = found.delivery_id
        and readings.hospcode = found.hospcode
        and readings.file = found.file
        and asked.rule = found.rule
