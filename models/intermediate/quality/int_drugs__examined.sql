{{ config(materialized='incremental', incremental_strategy='by_affected_registration') }}

with outpatient as (
    select
        hospcode,
        pid,
        'DRUG_OPD' as file,
        seq as care_number,
        {{ record_of(['date_serv', 'seq', 'didstd']) }} as record,
        date_serv as event_date,
        didstd,
        amount,
        unit,
        drugcost,
        drugprice,
        provider,
        delivery_id,
        source_line
    from {{ of_affected(ref('stg_f43__drug_opd'), 'registration') }}
),

inpatient as (
    select
        hospcode,
        pid,
        'DRUG_IPD' as file,
        an as care_number,
        {{ record_of(['an', 'pid', 'datetime_admit', 'typedrug', 'didstd']) }} as record,
        {{ date_of('datetime_admit') }} as event_date,
        didstd,
        amount,
        unit,
        drugcost,
        drugprice,
        provider,
        delivery_id,
        source_line
    from {{ of_affected(ref('stg_f43__drug_ipd'), 'registration') }}
),

drugs as (
    select * from outpatient
    union all
    select * from inpatient
),

cares as (
    {{ cares_of_lines('DRUG_OPD', 'DRUG_IPD') }}
)

select
    drugs.hospcode,
    drugs.pid,
    drugs.file,
    drugs.record,
    drugs.event_date,
    drugs.delivery_id,
    drugs.source_line,
    drugs.didstd as drug_code,
    drugs.amount as quantity,
    drugs.unit,
    drugs.drugcost as cost,
    drugs.drugprice as price,
    drugs.provider,
    cares.care_number is not null as has_care
from drugs
left join cares
    on
        drugs.hospcode = cares.hospcode
        and drugs.file = cares.file
        and drugs.care_number = cares.care_number
        and drugs.event_date = cares.care_date
