{#- A name with one number, that of a strength: two substances or a strength by volume tell no strength of the unit. -#}
{%- set one_strength = "'^[^0-9]*([0-9]+([.][0-9]+)?) ?(MCG|MG|G)( [^0-9]*)?$'" -%}

with versions as (
    select
        *,
        max(version) over () as newest_version
    from {{ source('drugs', 'map') }}
),

newest as (
    select
        *,
        {{ number_or_null(part_of('upper(dname)', one_strength, 1)) }} as number_in_name,
        {{ part_of('upper(dname)', one_strength, 3) }} as measure_in_name
    from versions
    where version = newest_version
)

select
    didstd,
    dname,
    atc,
    route,
    units_per_day,
    chronic as is_chronic,
    case
        when route <> 'oral' then null
        when measure_in_name = 'MCG' then cast(number_in_name * 0.001 as decimal(18, 4))
        when measure_in_name = 'MG' then number_in_name
        when measure_in_name = 'G' then cast(number_in_name * 1000 as decimal(18, 4))
    end as strength_mg,
    version,
    as_of_date
from newest
