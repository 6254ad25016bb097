{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set variants = {'main': "person_tier = 'A'", 'everybody': 'true'} -%}
with covered as (
    select * from {{ of_affected(ref('int_dispensings__covered')) }}
    where setting = 'opd' and is_oral_or_inhaled
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

{% for variant, condition in variants.items() -%}
of_{{ variant }} as (
    select * from dispensings
    where {{ condition }}
),

{{ overlapping_cover('before_' ~ variant, 'of_' ~ variant, ['person_key'], 'substance') }},

{% endfor -%}
compared as (
    {%- for variant in variants %}
    select
        '{{ variant }}' as variant,
        dispensings.*,
        others.other_cover_end
    from of_{{ variant }} as dispensings
    left join before_{{ variant }} as others on dispensings.dispensing_key = others.dispensing_key
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

quarters as (
    select
        variant,
        person_key,
        quarter_start,
        max(
            case
                when
                    {{ overlap_days('dispensed_date', 'cover_end', 'other_cover_end') }}
                    >= {{ measure_parameter('UNR-04', 'min_overlap_days') }}
                    then 1
                else 0
            end
        ) = 1 as is_numerator,
        sum(price) as price
    from compared
    group by variant, person_key, quarter_start
)

{{ person_period_events('UNR-04', 'quarters', 'quarter_start', 'quarters.variant') }}
