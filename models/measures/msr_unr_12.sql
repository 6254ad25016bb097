{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set longest = measure_parameter('*', 'max_days_supply') | int -%}
{%- set older_months = (measure_parameter('UNR-12', 'lower_band_age') | int) * 12 -%}
{%- set many = measure_parameter('UNR-12', 'min_substances') -%}
with dispensings as (
    select
        person_key,
        case when person_tier = 'A' then 1 else 0 end as is_numbered,
        atc_code,
        dispensed_date,
        price,
        -- Without a plausible supply a drug counts in the month of its dispensing alone.
        {{ add_days(
            'dispensed_date', 'case when days_supply between 1 and ' ~ longest ~ ' then days_supply - 1 else 0 end'
        ) }} as cover_end
    from {{ of_affected(ref('fct_dispensings')) }}
    where
        setting = 'opd'
        and length(atc_code) = 7
        and route in {{ parameter_list('*', 'chronic_routes') }}
),

supplies as (
    {{ codes_of_set('dispensings', 'atc_code', 'CS_NO_COVER') }}
),

counted as (
    select dispensings.*
    from dispensings
    left join supplies on dispensings.atc_code = supplies.atc_code
    where supplies.atc_code is null
),

given as (
    select
        person_key,
        atc_code,
        {{ month_start('dispensed_date') }} as month_start,
        max(is_numbered) as is_numbered,
        sum(price) as price,
        sum(case when is_numbered = 1 then price end) as numbered_price
    from counted
    group by person_key, atc_code, {{ month_start('dispensed_date') }}
),

dispensed as (
    select
        person_key,
        month_start,
        count(*) as n_substances,
        sum(is_numbered) as n_numbered,
        sum(price) as price,
        sum(numbered_price) as numbered_price
    from given
    group by person_key, month_start
),

-- As many months after the first as the longest supply can reach.
offsets as (
    {%- for n in range((longest + 29) // 28 + 1) %}
    select {{ n }} as n_months
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

covering as (
    select distinct
        counted.person_key,
        counted.atc_code,
        {{ add_months(month_start('counted.dispensed_date'), 'offsets.n_months') }} as month_start
    from counted
    inner join offsets
        on {{ add_months(month_start('counted.dispensed_date'), 'offsets.n_months') }} <= counted.cover_end
    where counted.is_numbered = 1
),

held as (
    select
        person_key,
        month_start,
        count(*) as n_substances
    from covering
    group by person_key, month_start
),

months as (
    select
        'main' as variant,
        person_key,
        month_start,
        n_numbered >= {{ many }} as is_numerator,
        numbered_price as price
    from dispensed
    where n_numbered > 0
    union all
    select
        'covered' as variant,
        dispensed.person_key,
        dispensed.month_start,
        held.n_substances >= {{ many }} as is_numerator,
        dispensed.numbered_price as price
    from dispensed
    inner join held on dispensed.person_key = held.person_key and dispensed.month_start = held.month_start
    where dispensed.n_numbered > 0
    union all
    select
        '5_items_60' as variant,
        dispensed.person_key,
        dispensed.month_start,
        dispensed.n_numbered >= {{ measure_parameter('UNR-12', 'lower_band_substances') }} as is_numerator,
        dispensed.numbered_price as price
    from dispensed
    inner join {{ ref('dim_persons') }} as ages on dispensed.person_key = ages.person_key
    where
        dispensed.n_numbered > 0
        and {{ add_months('ages.birth_month', older_months) }} <= dispensed.month_start
    union all
    select
        'everybody' as variant,
        person_key,
        month_start,
        n_substances >= {{ many }} as is_numerator,
        price
    from dispensed
)

{{ person_period_events('UNR-12', 'months', 'month_start', 'months.variant') }}
{{ clustered_by('person_key') }}
