{%- set what = what_is_counted() -%}
{%- set target = ['what_number', 'area_number', 'period_number'] -%}
{%- set population_sets = {'all': [], 'age_band': ['age_band'], 'sex': ['sex'], 'age_band_sex': ['age_band', 'sex']} -%}
{%- set of_population = "('" ~ measures_of_population() | join("', '") ~ "')" -%}
{%- set sums = ['numerator', 'denominator', 'n_linkable', 'total_value', 'n_values', 'total_price', 'n_priced'] -%}
with {{ measure_lattice(ref, ref('fct_visits'), 'service_month', 'service_month') }},

touched_periods as (
    select
        periods.period_type,
        periods.period_start,
        periods.period_number,
        max(months.period_end) as period_end
    from months
    inner join (select distinct service_month from {{ ref('fct_visits') }}) as data
        on months.month_start = data.service_month
    inner join periods on months.period_number = periods.period_number
    group by periods.period_type, periods.period_start, periods.period_number
),

cells as (
    select
        whats.what_number,
        whats.cut_number,
        whats.variant = 'main' as is_main,
        cells.service_month,
        cells.hospcode,
        cells.province_code,
        {{ prefixed(sums, 'cells') }}
    from {{ ref('fct_measure_cells') }} as cells
    inner join whats
        on {{ agreeing(what, 'cells', 'whats') }}
),

-- Joined in this order, as in `in_areas_and_periods`.
by_area as (
    {%- for area, key in [('areas_of_facilities', 'hospcode'), ('areas_of_provinces', 'province_code')] %}
    select
        cells.what_number,
        cells.cut_number,
        cells.service_month,
        {{ area }}.area_level,
        {{ area }}.area_number,
        {%- for sum in sums %}
        sum(cells.{{ sum }}) as {{ sum }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from cells
    left join {{ area }} on cells.{{ key }} = {{ area }}.{{ key }}
    inner join area_cuts
        on
            cells.cut_number = area_cuts.cut_number
            and {{ area }}.area_level = area_cuts.area_level
            and (cells.is_main or not area_cuts.is_main_only)
    group by
        cells.what_number, cells.cut_number, cells.service_month, {{ area }}.area_level, {{ area }}.area_number
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

results as (
    select
        by_area.what_number,
        by_area.area_number,
        month_cuts.period_number,
        {%- for sum in sums %}
        sum(by_area.{{ sum }}) as {{ sum }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from by_area
    inner join month_cuts
        on
            by_area.cut_number = month_cuts.cut_number
            and by_area.area_level = month_cuts.area_level
            and by_area.service_month = month_cuts.month_start
    group by by_area.what_number, by_area.area_number, month_cuts.period_number
),

people as (
    select
        whats.what_number,
        areas.area_number,
        periods.period_number,
        people.n_persons
    from {{ ref('fct_measure_persons') }} as people
    inner join whats on {{ agreeing(what, 'people', 'whats') }}
    inner join areas on people.area_level = areas.area_level and people.area_code = areas.area_code
    inner join periods on people.period_type = periods.period_type and people.period_start = periods.period_start
),

flagged_whole as (
    select
        whats.what_number,
        whats.cut_number,
        whats.variant = 'main' as is_main,
        events.service_month,
        events.hospcode,
        events.province_code,
        events.price
    from {{ ref('fct_flagged_events') }} as events
    inner join whats
        on
            events.measure_id = whats.measure_id
            and events.variant = whats.variant
            and whats.dimension_set = 'all'
),

whole_in_areas as (
    {{ in_areas_and_periods('flagged_whole', 'price') }}
),

-- Where a cost is shown at all: the prices of other cells need not be sorted.
costed as (
    select {{ prefixed(target, 'results') }}
    from results
    inner join people on {{ agreeing(target, 'results', 'people') }}
    where people.n_persons >= 10 and results.numerator >= 10 and results.n_priced >= 10
),

medians as (
    select
        {{ prefixed(target, 'events') }},
        {{ median_amount('events.price') }} as median_price
    from whole_in_areas as events
    inner join costed on {{ agreeing(target, 'events', 'costed') }}
    group by {{ prefixed(target, 'events') }}
),

-- The population, by its age on the last day of the period.
residents as (
    select
        registered_province_code,
        birth_month,
        coalesce(sex, 'unknown') as sex,
        count(*) as n_residents
    from {{ ref('dim_persons') }}
    where is_registered_resident
    group by registered_province_code, birth_month, coalesce(sex, 'unknown')
),

residents_at_periods as (
    select
        touched_periods.period_number,
        areas_of_provinces.area_number,
        {{ age_band(age_years('residents.birth_month', 'touched_periods.period_end')) }} as age_band,
        residents.sex,
        sum(residents.n_residents) as n_residents
    from residents
    inner join areas_of_provinces on residents.registered_province_code = areas_of_provinces.province_code
    cross join touched_periods
    group by
        touched_periods.period_number,
        areas_of_provinces.area_number,
        {{ age_band(age_years('residents.birth_month', 'touched_periods.period_end')) }},
        residents.sex
),

population as (
    {%- for name, members in population_sets.items() %}
    select
        period_number,
        area_number,
        '{{ name }}' as dimension_set,
        {{ members_of_set(members) }},
        sum(n_residents) as n_residents
    from residents_at_periods
    group by period_number, area_number{% for member in members %}, {{ member }}{% endfor %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- Who is how old and of which sex: the strata of a rate of the population. Without an event a stratum has no result.
strata as (
    select
        wholes.what_number,
        population.period_number,
        population.area_number,
        {{ ratio('standard.weight', '1000000') }} as weight,
        population.n_residents,
        coalesce(results.numerator, 0) as n_events
    from population
    inner join {{ ref('bridge_standard_groups') }} as standard
        on population.member_1 = standard.age_band and population.member_2 = standard.sex
    inner join whats as wholes
        on
            population.dimension_set = 'age_band_sex'
            and wholes.dimension_set = 'all'
            and wholes.variant = 'main'
            and wholes.measure_id in {{ of_population }}
    left join whats
        on
            wholes.measure_id = whats.measure_id
            and wholes.variant = whats.variant
            and population.dimension_set = whats.dimension_set
            and population.member_1 = whats.member_1
            and population.member_2 = whats.member_2
    left join results
        on
            whats.what_number = results.what_number
            and population.period_number = results.period_number
            and population.area_number = results.area_number
),

-- The strata are counted for years alone.
years as (
    select period_number
    from touched_periods
    where period_type in ('fiscal_year', 'last_12_months')
),

strata_of_years as (
    select strata.*
    from strata
    inner join years on strata.period_number = years.period_number
),

standardized as (
    {{ standardized_rates('strata_of_years', target) }}
),

-- A province's own reports are counted before its areas and periods are laid beside them.
reports_of_provinces as (
    select
        reports.measure_id,
        reports.service_month,
        facilities.province_code,
        count(*) as n_expected,
        count(case when reports.is_received then 1 end) as n_received
    from {{ ref('fct_measure_reports') }} as reports
    inner join {{ ref('dim_facilities') }} as facilities on reports.hospcode = facilities.hospcode
    group by reports.measure_id, reports.service_month, facilities.province_code
),

reports_of_months as (
    select
        reports.measure_id,
        reports.service_month,
        areas_of_provinces.area_level,
        areas_of_provinces.area_number,
        reports.n_expected,
        reports.n_received
    from reports_of_provinces as reports
    inner join areas_of_provinces on reports.province_code = areas_of_provinces.province_code
    union all
    select
        reports.measure_id,
        reports.service_month,
        areas_of_facilities.area_level,
        areas_of_facilities.area_number,
        1 as n_expected,
        case when reports.is_received then 1 else 0 end as n_received
    from {{ ref('fct_measure_reports') }} as reports
    inner join areas_of_facilities on reports.hospcode = areas_of_facilities.hospcode
),

reports as (
    select
        reports.measure_id,
        months.period_number,
        reports.area_number,
        sum(reports.n_expected) as n_reports_expected,
        sum(reports.n_received) as n_reports_received
    from reports_of_months as reports
    inner join (
        select distinct
            measure_id,
            area_level,
            period_type
        from cuts
    ) as shown
        on reports.measure_id = shown.measure_id and reports.area_level = shown.area_level
    inner join months on reports.service_month = months.month_start and shown.period_type = months.period_type
    group by reports.measure_id, months.period_number, reports.area_number
),

-- Where nothing happened, it is said whether that is known: every known area above the district, and every one that
-- owes reports, has a row of the whole.
owing as (
    select
        area_number,
        area_level
    from areas
    where area_level in ('nation', 'region', 'province') and area_code not in ('00', '99')
    union distinct
    select
        area_number,
        area_level
    from reports_of_months
),

rows_to_show as (
    select
        whats.what_number,
        owing.area_number,
        touched_periods.period_number
    from cuts
    inner join whats
        on cuts.cut_number = whats.cut_number and whats.dimension_set = 'all' and whats.variant = 'main'
    inner join owing on cuts.area_level = owing.area_level
    inner join touched_periods on cuts.period_type = touched_periods.period_type
    union distinct
    select {{ prefixed(target, 'results') }}
    from results
    inner join whats on results.what_number = whats.what_number
    where whats.variant <> 'wide'
),

wide as (
    select
        mains.what_number,
        results.area_number,
        results.period_number,
        results.numerator,
        results.denominator
    from results
    inner join whats on results.what_number = whats.what_number and whats.variant = 'wide'
    inner join whats as mains
        on
            whats.measure_id = mains.measure_id
            and whats.dimension_set = mains.dimension_set
            and mains.variant = 'main'
),

completed as (
    select
        touched_periods.period_type,
        touched_periods.period_start,
        touched_periods.period_end,
        areas.area_level,
        areas.area_code,
        {{ prefixed(what, 'whats') }},
        coalesce(reports.n_reports_expected, 0) as n_reports_expected,
        coalesce(reports.n_reports_received, 0) as n_reports_received,
        {{ input_status(
            'coalesce(results.denominator, 0)',
            'coalesce(reports.n_reports_received, 0)',
            'coalesce(reports.n_reports_expected, 0)',
        ) }} as status,
        whats.measure_id in {{ of_population }} as is_of_population,
        population.n_residents,
        results.numerator,
        results.denominator,
        case when whats.dimension_set = 'all' then results.n_linkable end as n_linkable,
        results.total_value,
        results.n_values,
        results.total_price,
        results.n_priced,
        people.n_persons,
        medians.median_price,
        standardized.rate as standardized_rate,
        standardized.low as standardized_low,
        standardized.high as standardized_high,
        wide.numerator as wide_numerator,
        wide.denominator as wide_denominator
    from rows_to_show as shown
    inner join whats on shown.what_number = whats.what_number
    inner join areas on shown.area_number = areas.area_number
    inner join touched_periods on shown.period_number = touched_periods.period_number
    {%- for relation in ['results', 'people', 'medians', 'standardized', 'wide'] %}
    left join {{ relation }} on {{ agreeing(target, 'shown', relation) }}
    {%- endfor %}
    left join reports
        on
            whats.measure_id = reports.measure_id
            and shown.period_number = reports.period_number
            and shown.area_number = reports.area_number
    left join population
        on
            whats.dimension_set = population.dimension_set
            and whats.member_1 = population.member_1
            and whats.member_2 = population.member_2
            and shown.period_number = population.period_number
            and shown.area_number = population.area_number
),

-- Without any input a count is unknown, and no 0.
counted as (
    select
        *,
        case when status <> 'no_data' then coalesce(numerator, 0) end as known_numerator,
        case
            when status = 'no_data' then null
            when is_of_population then coalesce(n_residents, 0)
            else coalesce(denominator, 0)
        end as known_denominator,
        case when status <> 'no_data' then coalesce(n_persons, 0) end as known_persons
    from completed
),

published as (
    select
        *,
        {{ published_count('known_numerator') }} as shown_numerator,
        {{ published_count('known_denominator') }} as shown_denominator,
        known_persons >= 10 and known_numerator >= 10 and n_priced >= 10 as has_cost
    from counted
),

versions as (
    select
        measure_id,
        max(version) as version
    from {{ ref('dim_measures') }}
    group by measure_id
)

select
    published.period_type,
    published.period_start,
    published.period_end,
    published.area_level,
    published.area_code,
    published.dimension_set,
    published.member_1,
    published.member_2,
    published.member_3,
    published.measure_id,
    published.variant,
    versions.version as measure_version,
    published.status,
    cast(published.n_reports_expected as integer) as n_reports_expected,
    cast(published.n_reports_received as integer) as n_reports_received,
    cast(published.known_numerator as bigint) as numerator,
    cast(published.known_denominator as bigint) as denominator,
    cast(published.n_linkable as bigint) as n_linkable,
    cast(published.known_persons as bigint) as n_persons,
    case
        when not published.is_of_population
            then {{ wilson_bound('published.shown_numerator', 'published.shown_denominator', '-') }}
    end as rate_low,
    case
        when not published.is_of_population
            then {{ wilson_bound('published.shown_numerator', 'published.shown_denominator', '+') }}
    end as rate_high,
    {{ published_mean('published.total_value', 'published.n_values') }} as mean_value,
    case
        when published.has_cost
            then {{ significant(
                ratio('published.total_price', 'published.numerator') ~ ' * published.shown_numerator', 3
            ) }}
    end as cost,
    case when published.has_cost then {{ rounded(ratio('published.median_price', '5')) }} * 5 end as median_cost,
    {%- for column in ['rate', 'low', 'high'] %}
    case
        when published.shown_numerator >= 10 and published.shown_denominator >= 30
            then {{ significant(
                ratio('published.shown_numerator', 'published.shown_denominator')
                ~ ' * ' ~ ratio('published.known_denominator', 'published.known_numerator')
                ~ ' * published.standardized_' ~ column, 3
            ) }}
    end as standardized_{{ column }},
    {%- endfor %}
    cast(published.wide_numerator as bigint) as wide_numerator,
    cast(published.wide_denominator as bigint) as wide_denominator
from published
inner join versions on published.measure_id = versions.measure_id
