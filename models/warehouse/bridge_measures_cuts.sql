with measures as (
    {%- for measure_id, measure in measure_library().items() %}
    select
        '{{ measure_id }}' as measure_id,
        '{{ measure.span }}' as span,
        '{{ measure.place }}' as place
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

area_levels as (
    {%- for level in ['nation', 'region', 'province', 'district', 'facility'] %}
    select '{{ level }}' as area_level
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

period_types as (
    select distinct period_type
    from {{ ref('bridge_months_periods') }}
)

select distinct
    measures.measure_id,
    measures.span,
    lattice.dimension_set,
    lattice.variants = '^main$' as is_main_only,
    area_levels.area_level,
    period_types.period_type
from measures
inner join {{ ref('measure_lattice') }} as lattice
    on {{ matches_pattern('measures.measure_id', 'lattice.measures') }}
inner join area_levels
    on
        {{ matches_pattern('area_levels.area_level', 'lattice.area_levels') }}
        -- What counts at home has no facility.
        and (measures.place = 'facility' or area_levels.area_level not in ('district', 'facility'))
inner join period_types
    on
        {{ matches_pattern('period_types.period_type', 'lattice.period_types') }}
        and (measures.span <> 'quarter' or period_types.period_type <> 'month')
        and (measures.span <> 'year' or period_types.period_type not in ('month', 'quarter'))
