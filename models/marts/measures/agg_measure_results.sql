{#-
  Every measure, and what its events span: a day or a month (`any`) counts in every period, a person's quarter in no
  month, a person's year in the periods that are its year.
-#}
{%- set measures = {
    'msr_red_01': 'any', 'msr_red_02': 'any', 'msr_red_03': 'any', 'msr_red_04': 'any', 'msr_red_05': 'any',
    'msr_red_06': 'any', 'msr_red_07': 'quarter', 'msr_red_08': 'any', 'msr_red_09': 'year',
    'msr_nec_01': 'any', 'msr_nec_02': 'any', 'msr_nec_03': 'any', 'msr_nec_04': 'any', 'msr_nec_05': 'year',
    'msr_nec_06': 'year',
    'msr_unr_01': 'any', 'msr_unr_02': 'any', 'msr_unr_03': 'any', 'msr_unr_04': 'quarter', 'msr_unr_05': 'any',
    'msr_unr_06': 'quarter', 'msr_unr_07': 'quarter', 'msr_unr_08': 'any', 'msr_unr_09': 'any', 'msr_unr_10': 'any',
    'msr_unr_11': 'any', 'msr_unr_12': 'any',
} -%}
{#- Those of which the population is the denominator. -#}
{%- set of_population = ['msr_nec_02'] -%}

with counts as (
    {%- for measure, span in measures.items() %}
    select
        measure_id,
        variant,
        '{{ span }}' as span,
        {{ 'true' if measure in of_population else 'false' }} as is_of_population,
        service_month,
        province_code,
        count(case when is_numerator then 1 end) as numerator,
        count(*) as denominator,
        count(case when is_linkable then 1 end) as n_linkable,
        sum(value) as total_value,
        count(value) as n_values
    from {{ ref(measure) }}
    group by measure_id, variant, service_month, province_code
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- Few events are flagged: their people are counted, and not those of the denominator.
flagged_people as (
    {%- for measure, span in measures.items() %}
    select distinct
        measure_id,
        variant,
        '{{ span }}' as span,
        service_month,
        province_code,
        person_key
    from {{ ref(measure) }}
    where is_numerator and variant <> 'wide'
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

versions as (
    select
        measure_id,
        max(version) as version
    from {{ ref('dim_measures') }}
    group by measure_id
),

areas as (
    select * from {{ ref('bridge_provinces_areas') }}
),

periods as (
    select
        spans.span,
        months.month_start,
        months.period_type,
        months.period_start,
        months.period_end
    from {{ ref('bridge_months_periods') }} as months
    cross join (select 'any' as span union all select 'quarter' as span) as spans
    where spans.span = 'any' or months.period_type <> 'month'
    union all
    select distinct
        'year' as span,
        {{ month_start('period_end') }} as month_start,
        period_type,
        period_start,
        period_end
    from {{ ref('bridge_months_periods') }}
    where period_type <> 'month'
),

residents as (
    select
        areas.area_level,
        areas.area_code,
        count(*) as n_residents
    from {{ ref('dim_persons') }} as persons
    inner join areas on persons.registered_province_code = areas.province_code
    where persons.is_registered_resident
    group by areas.area_level, areas.area_code
),

results as (
    select
        periods.period_type,
        periods.period_start,
        periods.period_end,
        areas.area_level,
        areas.area_code,
        counts.measure_id,
        counts.variant,
        counts.is_of_population,
        sum(counts.numerator) as numerator,
        sum(counts.denominator) as n_events,
        sum(counts.n_linkable) as n_linkable,
        sum(counts.total_value) as total_value,
        sum(counts.n_values) as n_values
    from counts
    inner join periods
        on
            counts.service_month = periods.month_start
            and counts.span = periods.span
    inner join areas on counts.province_code = areas.province_code
    group by
        periods.period_type,
        periods.period_start,
        periods.period_end,
        areas.area_level,
        areas.area_code,
        counts.measure_id,
        counts.variant,
        counts.is_of_population
),

people as (
    select
        periods.period_type,
        periods.period_start,
        areas.area_level,
        areas.area_code,
        flagged_people.measure_id,
        flagged_people.variant,
        count(distinct flagged_people.person_key) as n_persons
    from flagged_people
    inner join periods
        on
            flagged_people.service_month = periods.month_start
            and flagged_people.span = periods.span
    inner join areas on flagged_people.province_code = areas.province_code
    group by
        periods.period_type,
        periods.period_start,
        areas.area_level,
        areas.area_code,
        flagged_people.measure_id,
        flagged_people.variant
),

completed as (
    select
        results.*,
        case when results.is_of_population then residents.n_residents else results.n_events end as denominator,
        coalesce(people.n_persons, 0) as n_persons,
        wide.numerator as wide_numerator,
        wide.n_events as wide_denominator
    from results
    left join residents on results.area_level = residents.area_level and results.area_code = residents.area_code
    left join people
        on
            results.period_type = people.period_type
            and results.period_start = people.period_start
            and results.area_level = people.area_level
            and results.area_code = people.area_code
            and results.measure_id = people.measure_id
            and results.variant = people.variant
    left join results as wide
        on
            results.period_type = wide.period_type
            and results.period_start = wide.period_start
            and results.area_level = wide.area_level
            and results.area_code = wide.area_code
            and results.measure_id = wide.measure_id
            and results.variant = 'main'
            and wide.variant = 'wide'
    where results.variant <> 'wide'
),

shown as (
    select
        *,
        case when not is_of_population then {{ published_count('numerator') }} end as shown_numerator,
        case when not is_of_population then {{ published_count('denominator') }} end as shown_denominator
    from completed
)

select
    shown.period_type,
    shown.period_start,
    shown.period_end,
    shown.area_level,
    shown.area_code,
    shown.measure_id,
    shown.variant,
    versions.version as measure_version,
    cast(shown.numerator as bigint) as numerator,
    cast(shown.denominator as bigint) as denominator,
    cast(shown.n_linkable as bigint) as n_linkable,
    cast(shown.n_persons as bigint) as n_persons,
    {{ wilson_bound('shown.shown_numerator', 'shown.shown_denominator', '-') }} as rate_low,
    {{ wilson_bound('shown.shown_numerator', 'shown.shown_denominator', '+') }} as rate_high,
    case when shown.n_values >= 10 then round({{ ratio('shown.total_value', 'shown.n_values') }}, 2) end as mean_value,
    cast(shown.wide_numerator as bigint) as wide_numerator,
    cast(shown.wide_denominator as bigint) as wide_denominator
from shown
inner join versions on shown.measure_id = versions.measure_id
