{{ config(materialized='incremental', incremental_strategy='by_person') }}

with covered as (
    select * from {{ of_affected(ref('int_dispensings__covered')) }}
    where is_oral_or_inhaled
),

nsaids as (
    {{ codes_of_set('covered', 'substance', 'CS_NSAID') }}
),

dispensings as (
    select
        covered.*,
        true as is_index,
        {{ quarter_start('covered.dispensed_date') }} as quarter_start
    from covered
    inner join nsaids on covered.substance = nsaids.substance
),

{{ overlapping_cover('others', 'dispensings', ['person_key'], 'substance') }},

quarters as (
    select
        dispensings.person_key,
        dispensings.quarter_start,
        max(
            case
                when
                    {{ overlap_days('dispensings.dispensed_date', 'dispensings.cover_end', 'others.other_cover_end') }}
                    >= {{ measure_parameter('UNR-04', 'min_overlap_days') }}
                    then 1
                else 0
            end
        ) = 1 as is_numerator,
        sum(dispensings.price) as price
    from dispensings
    left join others on dispensings.dispensing_key = others.dispensing_key
    group by dispensings.person_key, dispensings.quarter_start
)

{{ person_period_events('UNR-04', 'quarters', 'quarter_start') }}
