-- What was given last stands; an empty value withdraws what stood.
with ranked as (
    select
        *,
        row_number() over (
            partition by series, period_start, period_end, area
            order by as_of_date desc, version desc
        ) as recency
    from {{ source('indicators', 'given') }}
)

select
    indicator_id,
    series,
    unit,
    period_start,
    period_end,
    area,
    value,
    source,
    known_on,
    given_by,
    version,
    as_of_date
from ranked
where recency = 1 and value is not null
