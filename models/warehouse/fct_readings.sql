with readings as (
    select
        *,
        row_number() over (
            partition by hospcode, file, report_month order by sent_at desc, delivery_id desc
        ) as recency_in_month,
        row_number() over (partition by hospcode, file order by sent_at desc, delivery_id desc) as recency
    from {{ ref('int_readings__dated') }}
    where n_rows > 0
)

select
    hospcode,
    file,
    report_month,
    delivery_id,
    n_rows as n_read,
    n_rows - n_landed as n_set_aside,
    -- A register is sent whole or by what changed, and stands once; a dated file stands in each of its months.
    {{ is_dated('file') }} or recency = 1 as is_standing
from readings
where recency_in_month = 1
