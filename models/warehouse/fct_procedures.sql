{{ config(materialized='incremental', incremental_strategy='by_person') }}

with visit_rows as (
    select
        *,
        {{ bare_code('procedcode') }} as procedure_code
    from {{ of_affected(ref('stg_f43__procedure_opd'), 'visit') }}
),

newest_visit_rows as (
    {{ newest_by('visit_rows', ['hospcode', 'seq', 'date_serv', 'procedure_code']) }}
),

visit_procedures as (
    select
        {{ surrogate_key([
            "'opd'", 'lines.hospcode', 'lines.seq', 'lines.date_serv', 'lines.procedure_code'
        ]) }} as procedure_key,
        'opd' as setting,
        {{ surrogate_key(['lines.hospcode', 'lines.seq', 'lines.date_serv']) }} as parent_key,
        lines.hospcode,
        coalesce(services.pid, lines.pid) as pid,
        lines.date_serv as procedure_date,
        lines.procedure_code,
        lines.serviceprice as price,
        lines.clinic as clinic_code,
        lines.provider,
        services.hospcode is null as is_orphan,
        lines.delivery_id
    from newest_visit_rows as lines
    left join {{ ref('stg_f43__service') }} as services
        on
            lines.hospcode = services.hospcode
            and lines.seq = services.seq
            and lines.date_serv = services.date_serv
),

inpatient_rows as (
    select
        *,
        {{ bare_code('procedcode') }} as procedure_code
    from {{ of_affected(ref('stg_f43__procedure_ipd'), 'stay') }}
),

newest_inpatient_rows as (
    {{ newest_by('inpatient_rows', ['hospcode', 'an', 'procedure_code', 'timestart']) }}
),

admission_procedures as (
    select
        {{ surrogate_key([
            "'ipd'", 'lines.hospcode', 'lines.an', 'lines.procedure_code', 'lines.timestart'
        ]) }} as procedure_key,
        'ipd' as setting,
        {{ surrogate_key(['lines.hospcode', 'lines.an']) }} as parent_key,
        lines.hospcode,
        coalesce(admissions.pid, lines.pid) as pid,
        case
            -- What begins outside the stay is a slip, and must not shift a period.
            when
                {{ date_of('lines.timestart') }} between {{ date_of('admissions.admitted_at') }}
                and {{ date_of('admissions.discharged_at') }}
                then {{ date_of('lines.timestart') }}
            else {{ date_of('lines.datetime_admit') }}
        end as procedure_date,
        lines.procedure_code,
        lines.serviceprice as price,
        lines.wardstay as clinic_code,
        lines.provider,
        admissions.admission_key is null as is_orphan,
        lines.delivery_id
    from newest_inpatient_rows as lines
    left join {{ ref('int_admissions__enriched') }} as admissions
        on lines.hospcode = admissions.hospcode and lines.an = admissions.an
),

all_procedures as (
    select * from visit_procedures
    union all
    select * from admission_procedures
),

-- Few codes, many procedures: each code is matched once.
imaging as (
    select
        codes.procedure_code,
        min(images.modality) as modality,
        min(images.body_region) as body_region
    from (select distinct procedure_code from all_procedures) as codes
    inner join {{ ref('imaging_procedures') }} as images
        on {{ matches_pattern('codes.procedure_code', 'images.pattern') }}
    group by codes.procedure_code
),

placed as (
    {{ with_person_and_place('all_procedures') }}
)

select
    placed.procedure_key,
    placed.setting,
    case when placed.setting = 'opd' then placed.parent_key end as visit_key,
    case when placed.setting = 'ipd' then placed.parent_key end as admission_key,
    placed.hospcode,
    placed.person_key,
    placed.person_tier,
    placed.wide_person_key,
    placed.procedure_date,
    {{ month_start('placed.procedure_date') }} as service_month,
    placed.treatment_province_code,
    placed.procedure_code,
    imaging.modality,
    imaging.body_region,
    placed.price,
    placed.clinic_code,
    {{ key_of_provider('placed.hospcode', 'placed.provider') }} as provider_key,
    placed.is_orphan,
    placed.delivery_id
from placed
left join imaging on placed.procedure_code = imaging.procedure_code
