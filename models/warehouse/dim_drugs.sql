with dispensed as (
    select distinct drug_code from {{ ref('fct_dispensings') }}
    where drug_code is not null
),

drugs as (
    select * from {{ ref('stg_drugs__map') }}
),

codes as (
    select
        coalesce(dispensed.drug_code, drugs.didstd) as drug_code,
        dispensed.drug_code is not null as is_dispensed,
        drugs.didstd is not null as is_mapped,
        drugs.dname as drug_name,
        drugs.atc,
        drugs.route,
        drugs.units_per_day,
        drugs.strength_mg,
        drugs.is_chronic
    from dispensed
    full outer join drugs on dispensed.drug_code = drugs.didstd
),

atc_groups as (
    select * from {{ ref('atc_groups') }}
)

select
    codes.drug_code,
    case
        when {{ matches_pattern('codes.drug_code', "'^[0-9]{24}$'") }} then 'standard_24'
        when {{ matches_pattern('codes.drug_code', "'^[0-9]{6,7}$'") }} then 'tmt'
        else 'local'
    end as code_system,
    codes.drug_name,
    case when length(codes.atc) >= 7 then substr(codes.atc, 1, 7) end as atc_code,
    case when length(codes.atc) >= 5 then substr(codes.atc, 1, 5) end as atc_level_4,
    case when length(codes.atc) >= 4 then substr(codes.atc, 1, 4) end as atc_level_3,
    case when length(codes.atc) >= 3 then substr(codes.atc, 1, 3) end as atc_level_2,
    coalesce(atc_groups.atc_group, 'unknown') as atc_level_1,
    coalesce(atc_groups.label_th, 'ไม่ทราบกลุ่มยา') as atc_level_1_th,
    coalesce(atc_groups.label_en, 'Unknown group') as atc_level_1_en,
    codes.route,
    codes.units_per_day,
    codes.strength_mg,
    codes.is_chronic,
    codes.is_mapped,
    codes.is_dispensed
from codes
left join atc_groups on substr(codes.atc, 1, 1) = atc_groups.atc_group
