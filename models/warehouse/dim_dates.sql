with days as (
    {{ date_spine('2015-01-01', '2030-12-31') }}
),

months as (
    select * from {{ ref('months') }}
)

select
    days.calendar_date,
    {{ month_start('days.calendar_date') }} as month_start,
    year(days.calendar_date) as year_ce,
    year(days.calendar_date) + 543 as year_be,
    month(days.calendar_date) as month_number,
    day(days.calendar_date) as day_of_month,
    months.name_th as month_name_th,
    months.short_name_th as month_short_name_th,
    months.name_en as month_name_en,
    {{ fiscal_year_start('days.calendar_date') }} as fiscal_year_start,
    {{ fiscal_year_ce('days.calendar_date') }} as fiscal_year_ce,
    {{ fiscal_year_ce('days.calendar_date') }} + 543 as fiscal_year_be
from days
inner join months on month(days.calendar_date) = months.month_number
