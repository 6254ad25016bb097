-- One day's registry may be loaded again, corrected: the version loaded last counts.
with versions as (
    select
        *,
        max(version) over (partition by as_of_date) as newest_of_day,
        max(as_of_date) over () as newest_date
    from {{ source('registry', 'facilities') }}
)

select
    hoscode as hospcode,
    hosname as name_th,
    hostype as facility_type_code,
    provcode as province_code,
    distcode as district_code,
    subdistcode as subdistrict_code,
    hoscodenew as hospcode9,
    bed as n_beds,
    mcode as affiliation_code,
    status,
    -- Each of the three may say it alone: a facility is seldom struck off in all of them.
    coalesce(status, '1') <> '0'
    and coalesce(close_date > as_of_date, true)
    and not coalesce(is_cancelled, false) as is_open,
    register_date as registered_date,
    close_date as closed_date,
    version,
    as_of_date,
    as_of_date = newest_date as is_in_force
from versions
where version = newest_of_day
