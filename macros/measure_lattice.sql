{#-
  CTEs that number what is counted (`whats`), where (`areas`) and when (`periods`), and say in which areas and periods a
  month of each counts (`areas_of_provinces`, `areas_of_facilities`, `area_cuts`, `month_cuts`): to group and join millions of
  rows by wide text keys is slow. The numbers hold within one statement. `read` names relations (`ref` or `made`);
  `days` is the relation whose columns `first` and `last` bound the data.
-#}
{% macro measure_lattice(read, days, first, last) -%}
{%- set what = what_is_counted() -%}
areas as (
    select
        area_level,
        area_code,
        row_number() over (order by area_level, area_code) as area_number
    from (
        select
            area_level,
            area_code
        from {{ read('bridge_provinces_areas') }}
        union distinct
        select
            area_level,
            area_code
        from {{ read('bridge_facilities_areas') }}
    ) as all_areas
),

areas_of_provinces as (
    select
        bridge.province_code,
        areas.area_level,
        areas.area_code,
        areas.area_number
    from {{ read('bridge_provinces_areas') }} as bridge
    inner join areas on bridge.area_level = areas.area_level and bridge.area_code = areas.area_code
),

-- What counts in a facility's district and in itself.
areas_of_facilities as (
    select
        bridge.hospcode,
        areas.area_level,
        areas.area_code,
        areas.area_number
    from {{ read('bridge_facilities_areas') }} as bridge
    inner join areas on bridge.area_level = areas.area_level and bridge.area_code = areas.area_code
),

-- Of the whole calendar, DuckDB would lay every area beside every month before it looks at an event.
bounds as (
    select
        {{ month_start('min(' ~ first ~ ')') }} as first_month,
        max({{ last }}) as last_month
    from {{ days }}
),

periods as (
    select
        period_type,
        period_start,
        row_number() over (order by period_type, period_start) as period_number
    from (
        select distinct
            months.period_type,
            months.period_start
        from {{ read('bridge_months_periods') }} as months
        inner join bounds on months.month_start between bounds.first_month and bounds.last_month
    ) as all_periods
),

months as (
    select
        months.month_start,
        months.period_type,
        months.period_end,
        periods.period_number
    from {{ read('bridge_months_periods') }} as months
    inner join periods on months.period_type = periods.period_type and months.period_start = periods.period_start
),

-- A person's year bears its last month and counts in the periods that end with it.
spans as (
    {%- for span in ['any', 'quarter', 'year'] %}
    select
        '{{ span }}' as span,
        month_start,
        period_type,
        period_number
    from months
    {%- if span == 'year' %}
    where {{ month_start('period_end') }} = month_start
    {%- else %}
    union all
    {%- endif %}
    {%- endfor %}
),

cuts as (
    select
        measure_id,
        span,
        dimension_set,
        is_main_only,
        area_level,
        period_type,
        dense_rank() over (order by measure_id, dimension_set) as cut_number
    from {{ read('bridge_measures_cuts') }}
),

whats as (
    select
        {{ prefixed(what, 'all_whats') }},
        cut_numbers.cut_number,
        row_number() over (order by {{ prefixed(what, 'all_whats') }}) as what_number
    from (
        select {{ what | join(', ') }} from {{ read('fct_measure_cells') }}
        union distinct
        select
            measure_id,
            'main' as variant,
            'all' as dimension_set,
            {{ members_of_set([]) }}
        from cuts
    ) as all_whats
    inner join (
        select distinct
            measure_id,
            dimension_set,
            cut_number
        from cuts
    ) as cut_numbers
        on all_whats.measure_id = cut_numbers.measure_id and all_whats.dimension_set = cut_numbers.dimension_set
),

area_cuts as (
    select
        cut_number,
        area_level,
        min(case when is_main_only then 1 else 0 end) = 1 as is_main_only
    from cuts
    group by cut_number, area_level
),

month_cuts as (
    select
        cuts.cut_number,
        cuts.area_level,
        spans.month_start,
        spans.period_number
    from cuts
    inner join spans on cuts.span = spans.span and cuts.period_type = spans.period_type
)
{%- endmacro %}

{#- The columns that say what a figure counts. -#}
{% macro what_is_counted() -%}
    {{ return(['measure_id', 'variant', 'dimension_set', 'member_1', 'member_2', 'member_3']) }}
{%- endmacro %}
