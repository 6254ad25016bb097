{%- set apart = measure_parameter('UNR-06', 'egfr_days_apart') | int -%}
with low_results as (
    select
        person_key,
        test_date
    from {{ ref('fct_lab_results') }}
    where test_group = 'egfr' and result_value < {{ measure_parameter('UNR-06', 'egfr_below') }}
),

first_low_results as (
    select
        person_key,
        min(test_date) as first_date
    from low_results
    group by person_key
),

known as (
    select
        low_results.person_key,
        low_results.test_date as known_date
    from low_results
    inner join first_low_results on low_results.person_key = first_low_results.person_key
    where {{ days_between('first_low_results.first_date', 'low_results.test_date') }} >= {{ apart }}
    union all
    select
        person_key,
        diagnosis_date as known_date
    from {{ ref('int_diagnoses__grouped') }}
    where set_id = 'CS_CKD3'
),

patients as (
    select
        person_key,
        min(known_date) as known_date
    from known
    group by person_key
),

seen as (
    select distinct
        visits.person_key,
        {{ quarter_start('visits.date_serv') }} as quarter_start
    from {{ ref('int_visits__enriched') }} as visits
    inner join patients on visits.person_key = patients.person_key
    where visits.date_serv >= patients.known_date
),

dispensings as (
    select
        lines.person_key,
        lines.dispensed_date,
        lines.atc_code,
        lines.price
    from {{ ref('fct_dispensings') }} as lines
    inner join patients on lines.person_key = patients.person_key
    where lines.is_taken_home and lines.dispensed_date > patients.known_date
),

nsaids as (
    {{ codes_of_set('dispensings', 'atc_code', 'CS_NSAID') }}
),

treated as (
    select
        dispensings.person_key,
        {{ quarter_start('dispensings.dispensed_date') }} as quarter_start,
        sum(dispensings.price) as price
    from dispensings
    inner join nsaids on dispensings.atc_code = nsaids.atc_code
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

{{ person_period_events('UNR-06', 'quarters', 'quarter_start') }}
