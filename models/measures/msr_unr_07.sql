{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set months = (measure_parameter('UNR-07', 'over_age') | int + 1) * 12 -%}
with older as (
    select
        person_key,
        {{ add_months('birth_month', months) }} as begins_on
    from {{ of_affected(ref('dim_persons')) }}
    where birth_month is not null
),

{{ quarters_with_drug(
    'UNR-07', 'older', 'CS_LABZD', "lines.setting = 'opd' and lines.dispensed_date >= older.begins_on"
) }}
