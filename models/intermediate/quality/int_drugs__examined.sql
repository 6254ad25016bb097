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

visits as (
    {{ cares_of_lines('DRUG_OPD') }}
),

stays as (
    {{ cares_of_lines('DRUG_IPD') }}
),

drugs as (
    {%- for lines, cares in {'outpatient': 'visits', 'inpatient': 'stays'}.items() %}
    select
        {{ lines }}.*,
        {{ cares }}.care_number is not null as has_care
    from {{ lines }}
    left join {{ cares }}
        on
            {{ lines }}.hospcode = {{ cares }}.hospcode
            and {{ lines }}.care_number = {{ cares }}.care_number
            and {{ lines }}.event_date = {{ cares }}.care_date
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

examined as (
    select
        hospcode,
        pid,
        file,
        record,
        event_date,
        delivery_id,
        source_line,
        didstd as drug_code,
        amount as quantity,
        unit,
        drugcost as cost,
        drugprice as price,
        provider,
        has_care
    from drugs
)

{{ examined_rows('int_drugs__examined', 'examined') }}
