with deliveries as (
    select * from {{ ref('stg_ruam__deliveries') }}
),

months_of_deliveries as (
    select
        delivery_id,
        hospcode,
        report_month,
        row_number() over (
            partition by delivery_id, hospcode order by sum(n_rows) desc, report_month desc
        ) as rank_by_rows
    from {{ ref('stg_ruam__landed_counts') }}
    group by delivery_id, hospcode, report_month
)

-- What bears no date of its own belongs to the month of most rows beside it; alone, to the month before it was sent.
select
    files.hospcode,
    files.file,
    files.delivery_id,
    coalesce(months.report_month, {{ add_months(month_start('deliveries.came_at'), -1) }}) as report_month,
    deliveries.came_at as sent_at,
    cast(sum(files.n_rows) as bigint) as n_rows,
    cast(sum(files.n_landed) as bigint) as n_landed,
    max(case when files.header then 1 else 0 end) = 1 as has_header
from {{ ref('stg_ruam__receipt_files') }} as files
inner join deliveries on files.delivery_id = deliveries.delivery_id
left join months_of_deliveries as months
    on
        files.delivery_id = months.delivery_id
        and files.hospcode = months.hospcode
        and months.rank_by_rows = 1
group by files.hospcode, files.file, files.delivery_id, months.report_month, deliveries.came_at
