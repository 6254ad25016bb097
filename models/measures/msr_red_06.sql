{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set graces = {'main': 'grace_days', '0_days': 'grace_days_low', '14_days': 'grace_days_high'} -%}
{%- set keys = ['person_key', 'wide_person_key'] -%}
with dispensings as (
    select
        *,
        -- What a hospital gave along with a referral is meant to be replaced.
        not is_referred_out as is_index
    from {{ of_affected(ref('int_dispensings__covered')) }}
    where setting = 'opd' and is_chronic and is_oral_or_inhaled
),

{% for key in keys -%}
{{ overlapping_cover('by_' ~ key, 'dispensings', [key, 'substance'], 'hospcode') }},

{% endfor -%}
variants as (
    {%- for variant, parameter in graces.items() %}
    select
        'person_key' as key_column,
        '{{ variant }}' as variant,
        {{ measure_parameter('RED-06', parameter) }} as grace_days
    union all
    {%- endfor %}
    select
        'wide_person_key' as key_column,
        'wide' as variant,
        {{ measure_parameter('RED-06', 'grace_days') }} as grace_days
),

shared as (
    {%- for key in keys %}
    select
        dispensings.dispensing_key,
        '{{ key }}' as key_column,
        {{ overlap_days('dispensings.dispensed_date', 'dispensings.cover_end', 'others.other_cover_end') }}
            as overlap_days
    from dispensings
    inner join by_{{ key }} as others on dispensings.dispensing_key = others.dispensing_key
    -- A lower strength than the other facility's is a dose brought down, not a second supply.
    where coalesce(dispensings.strength >= others.other_strength, true)
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    'RED-06' as measure_id,
    variants.variant,
    dispensings.dispensing_key as event_key,
    dispensings.dispensed_date as event_date,
    {{ month_start('dispensings.dispensed_date') }} as service_month,
    dispensings.hospcode,
    dispensings.treatment_province_code as province_code,
    case when variants.variant = 'wide' then dispensings.wide_person_key else dispensings.person_key end as person_key,
    coalesce(shared.overlap_days > variants.grace_days, false) as is_numerator,
    dispensings.person_tier in ('A', 'B') as is_linkable,
    cast(null as double) as value,
    cast(dispensings.price as decimal(18, 2)) as price
from dispensings
cross join variants
left join shared
    on dispensings.dispensing_key = shared.dispensing_key and variants.key_column = shared.key_column
