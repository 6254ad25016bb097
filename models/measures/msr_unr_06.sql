{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set apart = measure_parameter('UNR-06', 'egfr_days_apart') | int -%}
with low_results as (
    select
        person_key,
        test_date
    from {{ of_affected(ref('fct_lab_results')) }}
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
    from {{ of_affected(ref('int_diagnoses__grouped')) }}
    where set_id = 'CS_CKD3'
),

patients as (
    select
        person_key,
        min(known_date) as begins_on
    from known
    group by person_key
),

{{ quarters_with_drug(
    'UNR-06', 'patients', 'CS_NSAID', 'lines.is_taken_home and lines.dispensed_date > patients.begins_on'
) }}
