with versions as (
    select
        *,
        max(version) over () as newest_version
    from {{ source('drugs', 'map') }}
)

select
    didstd,
    dname,
    atc,
    route,
    units_per_day,
    chronic as is_chronic,
    version,
    as_of_date
from versions
where version = newest_version
