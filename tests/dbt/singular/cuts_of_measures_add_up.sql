-- Whatever a measure is cut by, its parts make up the whole; so do areas, but of people.
with main_results as (
    select *
    from {{ ref('agg_measure_results') }}
    where variant = 'main' and denominator > 0
),

sums as (
    select
        measure_id,
        period_type,
        period_start,
        area_level,
        area_code,
        dimension_set,
        sum(numerator) as numerator,
        sum(denominator) as denominator
    from main_results
    -- Of a measure of the population, members without an event have no row.
    where measure_id <> 'NEC-02'
    group by measure_id, period_type, period_start, area_level, area_code, dimension_set
)

select
    sums.*,
    wholes.numerator as whole_numerator,
    wholes.denominator as whole_denominator
from sums
inner join sums as wholes
    on
        wholes.dimension_set = 'all'
        and sums.measure_id = wholes.measure_id
        and sums.period_type = wholes.period_type
        and sums.period_start = wholes.period_start
        and sums.area_level = wholes.area_level
        and sums.area_code = wholes.area_code
where sums.numerator <> wholes.numerator or sums.denominator <> wholes.denominator
