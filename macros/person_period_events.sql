{#-
  The events of a measure of persons from the CTE `periods`: one row for each person and period (`start`), with
  is_numerator and price, and `variant` where there are several. They count where the person lives.
-#}
{% macro person_period_events(measure_id, periods, start, variant="'main'") -%}
select
    '{{ measure_id }}' as measure_id,
    {{ variant }} as variant,
    {{ surrogate_key([periods ~ '.person_key', periods ~ '.' ~ start]) }} as event_key,
    {{ periods }}.{{ start }} as event_date,
    {{ month_start(periods ~ '.' ~ start) }} as service_month,
    {{ null_text() }} as hospcode,
    {{ home_province('persons') }} as province_code,
    {{ periods }}.person_key,
    {{ periods }}.is_numerator,
    coalesce(persons.person_tier in ('A', 'B'), false) as is_linkable,
    cast(null as double) as value,
    cast({{ periods }}.price as decimal(18, 2)) as price
from {{ periods }}
left join {{ ref('dim_persons') }} as persons on {{ periods }}.person_key = persons.person_key
{%- endmacro %}

{#- Where a person (a row of dim_persons, or none) lives: where registered as living, else by the civil address. -#}
{% macro home_province(persons) -%}
    coalesce({{ persons }}.registered_province_code, {{ persons }}.home_province_code, '99')
{%- endmacro %}

{#- The months of each year that a person's year may be: fiscal years and the last twelve months, by their last day. -#}
{% macro months_of_years() -%}
    select distinct
        month_start,
        period_end
    from {{ ref('bridge_months_periods') }}
    where period_type in ('fiscal_year', 'last_12_months')
{%- endmacro %}

{#-
  The quarters in which people (`people`, a CTE of person_key and begins_on) were seen from begins_on on, with whether
  they were given a drug of the set then: events of `person_period_events`. `lines` says which dispensings count.
-#}
{% macro quarters_with_drug(measure_id, people, set_id, lines) -%}
seen as (
    select distinct
        visits.person_key,
        {{ quarter_start('visits.date_serv') }} as quarter_start
    from {{ of_affected(ref('int_visits__enriched')) }} as visits
    inner join {{ people }} on visits.person_key = {{ people }}.person_key
    where visits.date_serv >= {{ people }}.begins_on
),

dispensings as (
    select
        lines.person_key,
        lines.dispensed_date,
        lines.atc_code,
        lines.price
    from {{ of_affected(ref('fct_dispensings')) }} as lines
    inner join {{ people }} on lines.person_key = {{ people }}.person_key
    where {{ lines }}
),

of_set as (
    {{ codes_of_set('dispensings', 'atc_code', set_id) }}
),

treated as (
    select
        dispensings.person_key,
        {{ quarter_start('dispensings.dispensed_date') }} as quarter_start,
        sum(dispensings.price) as price
    from dispensings
    inner join of_set on dispensings.atc_code = of_set.atc_code
    group by dispensings.person_key, {{ quarter_start('dispensings.dispensed_date') }}
),

quarters as (
    select
        seen.person_key,
        seen.quarter_start,
        treated.person_key is not null as is_numerator,
        treated.price
    from seen
    left join treated on seen.person_key = treated.person_key and seen.quarter_start = treated.quarter_start
)

{{ person_period_events(measure_id, 'quarters', 'quarter_start') }}
{%- endmacro %}
