{%- set months = (measure_parameter('UNR-07', 'over_age') | int + 1) * 12 -%}
with older as (
    select
        person_key,
        {{ add_months('birth_month', months) }} as old_from
    from {{ ref('dim_persons') }}
    where birth_month is not null
),

seen as (
    select distinct
        visits.person_key,
        {{ quarter_start('visits.date_serv') }} as quarter_start
    from {{ ref('int_visits__enriched') }} as visits
    inner join older on visits.person_key = older.person_key
    where visits.date_serv >= older.old_from
),

dispensings as (
    select
        lines.person_key,
        lines.dispensed_date,
        lines.atc_code,
        lines.price
    from {{ ref('fct_dispensings') }} as lines
    inner join older on lines.person_key = older.person_key
    where lines.setting = 'opd' and lines.dispensed_date >= older.old_from
),

benzodiazepines as (
    {{ codes_of_set('dispensings', 'atc_code', 'CS_LABZD') }}
),

treated as (
    select
        dispensings.person_key,
        {{ quarter_start('dispensings.dispensed_date') }} as quarter_start,
        sum(dispensings.price) as price
    from dispensings
    inner join benzodiazepines on dispensings.atc_code = benzodiazepines.atc_code
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

{{ person_period_events('UNR-07', 'quarters', 'quarter_start') }}
