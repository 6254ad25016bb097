{{ config(materialized='incremental', incremental_strategy='by_person') }}

with visit_lines as (
    select
        {{ surrogate_key([
            "'opd'", 'lines.hospcode', 'lines.seq', 'lines.date_serv', 'lines.chargeitem', 'lines.chargelist', 'lines.instype'
        ]) }} as charge_key,
        'opd' as setting,
        {{ surrogate_key(['lines.hospcode', 'lines.seq', 'lines.date_serv']) }} as parent_key,
        lines.hospcode,
        coalesce(services.pid, lines.pid) as pid,
        lines.date_serv as charged_date,
        lines.chargeitem,
        lines.chargelist,
        lines.instype,
        lines.quantity,
        lines.cost,
        lines.price,
        lines.payprice,
        lines.clinic as clinic_code,
        services.hospcode is null as is_orphan,
        lines.delivery_id
    from {{ of_affected(ref('stg_f43__charge_opd'), 'visit') }} as lines
    left join {{ ref('stg_f43__service') }} as services
        on
            lines.hospcode = services.hospcode
            and lines.seq = services.seq
            and lines.date_serv = services.date_serv
),

inpatient_rows as (
    {{ newest_by(
        of_affected(ref('stg_f43__charge_ipd'), 'stay'),
        ['hospcode', 'an', 'chargeitem', 'chargelist', 'instype'],
    ) }}
),

admission_lines as (
    select
        {{ surrogate_key([
            "'ipd'", 'lines.hospcode', 'lines.an', 'lines.chargeitem', 'lines.chargelist', 'lines.instype'
        ]) }} as charge_key,
        'ipd' as setting,
        {{ surrogate_key(['lines.hospcode', 'lines.an']) }} as parent_key,
        lines.hospcode,
        coalesce(admissions.pid, lines.pid) as pid,
        coalesce({{ date_of('admissions.discharged_at') }}, {{ date_of('lines.datetime_admit') }}) as charged_date,
        lines.chargeitem,
        lines.chargelist,
        lines.instype,
        lines.quantity,
        lines.cost,
        lines.price,
        lines.payprice,
        lines.wardstay as clinic_code,
        admissions.admission_key is null as is_orphan,
        lines.delivery_id
    from inpatient_rows as lines
    left join {{ ref('int_admissions__enriched') }} as admissions
        on lines.hospcode = admissions.hospcode and lines.an = admissions.an
),

all_lines as (
    select * from visit_lines
    union all
    select * from admission_lines
),

rights as (
    {{ groups_of_rights('all_lines') }}
),

placed as (
    {{ with_person_and_place('all_lines') }}
)

select
    placed.charge_key,
    placed.setting,
    case when placed.setting = 'opd' then placed.parent_key end as visit_key,
    case when placed.setting = 'ipd' then placed.parent_key end as admission_key,
    placed.hospcode,
    placed.person_key,
    placed.person_tier,
    placed.wide_person_key,
    placed.charged_date,
    {{ month_start('placed.charged_date') }} as service_month,
    placed.treatment_province_code,
    placed.chargeitem as charge_group,
    placed.chargelist as charge_item,
    placed.instype,
    coalesce(rights.right_group, 'unknown') as right_group,
    placed.quantity,
    placed.cost,
    placed.price,
    placed.payprice as pay_price,
    placed.clinic_code,
    placed.is_orphan,
    placed.delivery_id
from placed
left join rights on placed.instype = rights.instype
{{ clustered_by('person_key') }}
