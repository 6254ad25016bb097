-- Worked out from the registries of all days each time: no order of loading matters, a lost warehouse loses nothing.
with facilities as (
    select
        *,
        {{ surrogate_key([
            'hospcode9', 'name_th', 'facility_type_code', 'affiliation_code', 'province_code', 'district_code',
            'subdistrict_code', 'n_beds', 'status', 'is_open', 'registered_date', 'closed_date'
        ]) }} as facts
    from {{ ref('stg_registry__facilities') }}
),

days as (
    select
        as_of_date,
        row_number() over (order by as_of_date) as day_number,
        coalesce(
            {{ add_days('lead(as_of_date) over (order by as_of_date)', -1) }}, {{ date_literal('9999-12-31') }}
        ) as last_day
    from (select distinct as_of_date from facilities) as registries
),

compared as (
    select
        facilities.*,
        days.day_number,
        days.last_day,
        lag(facilities.facts) over (partition by facilities.hospcode order by days.day_number) as previous_facts,
        lag(days.day_number) over (partition by facilities.hospcode order by days.day_number) as previous_day
    from facilities
    inner join days on facilities.as_of_date = days.as_of_date
),

-- A spell ends where a fact changes, and where a registry does not hold the facility.
numbered as (
    select
        *,
        sum(case when facts = previous_facts and previous_day = day_number - 1 then 0 else 1 end) over (
            partition by hospcode
            order by day_number
            rows between unbounded preceding and current row
        ) as spell_number
    from compared
)

select
    hospcode,
    -- What came before the first registry is not known; what that says is the best guess.
    case when min(day_number) = 1 then {{ date_literal('1900-01-01') }} else min(as_of_date) end as valid_from,
    max(last_day) as valid_to,
    min(as_of_date) as seen_from,
    max(as_of_date) as seen_to,
    hospcode9,
    name_th,
    facility_type_code,
    affiliation_code,
    province_code,
    district_code,
    subdistrict_code,
    n_beds,
    status,
    is_open,
    registered_date,
    closed_date
from numbered
group by
    hospcode,
    spell_number,
    hospcode9,
    name_th,
    facility_type_code,
    affiliation_code,
    province_code,
    district_code,
    subdistrict_code,
    n_beds,
    status,
    is_open,
    registered_date,
    closed_date
