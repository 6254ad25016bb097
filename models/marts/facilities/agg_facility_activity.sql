{%- set counts = [
    'n_visits', 'n_home_known_visits', 'n_out_of_network_visits', 'n_cross_province_visits', 'n_admissions',
    'n_referrals_out'
] -%}
{%- set sources = {'visits': counts[:4], 'admissions': counts[4:5], 'referrals': counts[5:]} -%}
{%- set sets = {'all': "'all'", 'facility_type': 'facility_type_group', 'affiliation': 'affiliation_group'} -%}
{%- set cell = [
    'period_type', 'period_start', 'period_end', 'area_level', 'area_code', 'dimension_set', 'member_1'
] -%}

with visits as (
    select
        service_month as activity_month,
        hospcode,
        facility_type_group,
        affiliation_group,
        count(*) as n_visits,
        count(case when is_home_known then 1 end) as n_home_known_visits,
        count(case when is_out_of_network then 1 end) as n_out_of_network_visits,
        count(case when is_cross_province then 1 end) as n_cross_province_visits
    from {{ ref('fct_visits') }}
    group by service_month, hospcode, facility_type_group, affiliation_group
),

admissions as (
    select
        discharge_month as activity_month,
        hospcode,
        facility_type_group,
        affiliation_group,
        count(*) as n_admissions
    from {{ ref('fct_admissions') }}
    group by discharge_month, hospcode, facility_type_group, affiliation_group
),

facilities as (
    select * from {{ ref('dim_facilities') }}
),

-- Of a visit, and to another facility: a patient who goes back to where they came from is no new referral.
referrals as (
    select
        referrals.service_month as activity_month,
        referrals.hospcode,
        facilities.facility_type_group,
        facilities.affiliation_group,
        count(*) as n_referrals_out
    from {{ ref('fct_referrals') }} as referrals
    inner join facilities on referrals.hospcode = facilities.hospcode
    where referrals.is_patient_sent and not referrals.is_return and referrals.admission_key is null
    group by referrals.service_month, referrals.hospcode, facilities.facility_type_group, facilities.affiliation_group
),

activity as (
    {%- for source, columns in sources.items() %}
    select
        activity_month,
        hospcode,
        facility_type_group,
        affiliation_group,
        {% for name in counts -%}
        {{ name if name in columns else '0' }} as {{ name }}{% if not loop.last %},
        {% endif %}
        {%- endfor %}
    from {{ source }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- A facility's share of the cells that are published by type and affiliation: parts and totals are held against
-- each other before anything is published.
members as (
    {%- for name, member in sets.items() %}
    select
        activity_month,
        hospcode,
        '{{ name }}' as dimension_set,
        {{ member }} as member_1,
        {{ counts | join(', ') }}
    from activity
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

areas as (
    select
        facilities.hospcode,
        provinces.area_level,
        provinces.area_code
    from facilities
    inner join {{ ref('bridge_provinces_areas') }} as provinces on facilities.province_code = provinces.province_code
    union all
    select
        hospcode,
        area_level,
        area_code
    from {{ ref('bridge_facilities_areas') }}
),

peers as (
    select
        'facility' as area_level,
        hospcode as area_code,
        facility_type_group as peer_type,
        region_code as peer_region
    from facilities
),

data as (
    select
        min(service_month) as first_month,
        max(service_month) as last_month
    from {{ ref('fct_visits') }}
),

periods as (
    select bridge.*
    from {{ ref('bridge_months_periods') }} as bridge
    inner join data on bridge.month_start between data.first_month and data.last_month
),

cells as (
    select
        periods.period_type,
        periods.period_start,
        periods.period_end,
        areas.area_level,
        areas.area_code,
        members.dimension_set,
        members.member_1,
        {% for name in counts -%}
        sum(members.{{ name }}) as {{ name }}{% if not loop.last %},
        {% endif %}
        {%- endfor %}
    from members
    inner join periods on members.activity_month = periods.month_start
    inner join areas on members.hospcode = areas.hospcode
    group by
        periods.period_type,
        periods.period_start,
        periods.period_end,
        areas.area_level,
        areas.area_code,
        members.dimension_set,
        members.member_1
)

select
    {{ prefixed(cell, 'cells') }},
    peers.peer_type,
    peers.peer_region,
    {% for name in counts -%}
    cast(cells.{{ name }} as bigint) as {{ name }}{% if not loop.last %},
    {% endif %}
    {%- endfor %}
from cells
left join peers on cells.area_level = peers.area_level and cells.area_code = peers.area_code
