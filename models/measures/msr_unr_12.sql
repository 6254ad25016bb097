{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set longest = measure_parameter('*', 'max_days_supply') | int -%}
{%- set older_months = (measure_parameter('UNR-12', 'lower_band_age') | int) * 12 -%}
{%- set bands = {'main': 'min_substances', '5_items_60': 'lower_band_substances'} -%}
with dispensings as (
    select
        person_key,
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
        and route in {{ parameter_list('*', 'systemic_routes') }}
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

-- As many months after the first as the longest supply can reach.
offsets as (
    {%- for n in range((longest + 29) // 28 + 1) %}
    select {{ n }} as n_months
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

substances as (
    select distinct
        counted.person_key,
        counted.atc_code,
        {{ add_months(month_start('counted.dispensed_date'), 'offsets.n_months') }} as month_start
    from counted
    inner join offsets
        on {{ add_months(month_start('counted.dispensed_date'), 'offsets.n_months') }} <= counted.cover_end
),

held as (
    select
        person_key,
        month_start,
        count(*) as n_substances
    from substances
    group by person_key, month_start
),

dispensed as (
    select
        person_key,
        {{ month_start('dispensed_date') }} as month_start,
        sum(price) as price
    from counted
    group by person_key, {{ month_start('dispensed_date') }}
),

bands as (
    {%- for variant, parameter in bands.items() %}
    select
        '{{ variant }}' as variant,
        {{ measure_parameter('UNR-12', parameter) }} as min_substances
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

months as (
    select
        bands.variant,
        dispensed.person_key,
        dispensed.month_start,
        held.n_substances >= bands.min_substances as is_numerator,
        dispensed.price
    from dispensed
    inner join held on dispensed.person_key = held.person_key and dispensed.month_start = held.month_start
    cross join bands
    left join {{ ref('dim_persons') }} as ages on dispensed.person_key = ages.person_key
    where
        bands.variant = 'main'
        or {{ add_months('ages.birth_month', older_months) }} <= dispensed.month_start
)

{{ person_period_events('UNR-12', 'months', 'month_start', 'months.variant') }}
