{%- set longest = measure_parameter('*', 'max_days_supply') | int -%}
{#- Written twice, for its rows and for its codes: a CTE that is read twice is held in memory whole (decision 36). -#}
{%- set taken_home -%}
    select * from {{ of_affected(ref('int_dispensings__enriched')) }}
    where
        is_taken_home
        and days_supply between 1 and {{ longest }}
        and length(atc_code) = 7
        and route in {{ parameter_list('*', 'systemic_routes') }}
{%- endset -%}
with dispensings as (
    {{ taken_home }}
),

never_covering as (
    {{ codes_of_set('(' ~ taken_home ~ ') as coded', 'atc_code', 'CS_NO_COVER') }}
),

visits as (
    select
        visit_key,
        time_serv,
        typeout
    from {{ of_affected(ref('int_visits__enriched')) }}
)

select
    min(dispensings.dispensing_key) as dispensing_key,
    dispensings.setting,
    dispensings.person_key,
    min(dispensings.wide_person_key) as wide_person_key,
    min(dispensings.person_tier) as person_tier,
    dispensings.atc_code as substance,
    dispensings.hospcode,
    min(dispensings.treatment_province_code) as treatment_province_code,
    dispensings.dispensed_date,
    min(visits.time_serv) as time_serv,
    max({{ add_days('dispensings.dispensed_date', 'dispensings.days_supply - 1') }}) as cover_end,
    max(dispensings.strength) as strength,
    max(case when dispensings.is_chronic then 1 else 0 end) = 1 as is_chronic,
    max(case when dispensings.route in {{ parameter_list('*', 'chronic_routes') }} then 1 else 0 end) = 1
        as is_oral_or_inhaled,
    max(case when visits.typeout = '3' then 1 else 0 end) = 1 as is_referred_out,
    max(case when dispensings.is_days_supply_imputed then 1 else 0 end) = 1 as is_days_supply_imputed,
    sum(dispensings.price) as price,
    count(*) as n_lines
from dispensings
left join never_covering on dispensings.atc_code = never_covering.atc_code
left join visits on dispensings.visit_key = visits.visit_key
where never_covering.atc_code is null
group by
    dispensings.setting,
    dispensings.person_key,
    dispensings.atc_code,
    dispensings.hospcode,
    dispensings.dispensed_date
{{ clustered_by('person_key') }}
