with visit_lines as (
    select
        {{ surrogate_key([
            "'opd'", 'lines.hospcode', 'lines.seq', 'lines.date_serv', 'lines.didstd'
        ]) }} as dispensing_key,
        'opd' as setting,
        {{ surrogate_key(['lines.hospcode', 'lines.seq', 'lines.date_serv']) }} as parent_key,
        lines.hospcode,
        coalesce(services.pid, lines.pid) as pid,
        lines.date_serv as dispensed_date,
        lines.didstd,
        true as is_taken_home,
        lines.amount,
        lines.unit,
        lines.drugcost,
        lines.drugprice,
        lines.clinic as clinic_code,
        lines.provider,
        services.hospcode is null as is_orphan,
        lines.delivery_id
    from {{ of_affected(ref('stg_f43__drug_opd'), 'visit') }} as lines
    left join {{ ref('stg_f43__service') }} as services
        on
            lines.hospcode = services.hospcode
            and lines.seq = services.seq
            and lines.date_serv = services.date_serv
),

inpatient_rows as (
    {{ newest_by(of_affected(ref('stg_f43__drug_ipd'), 'stay'), ['hospcode', 'an', 'typedrug', 'didstd']) }}
),

admission_lines as (
    select
        {{ surrogate_key([
            "'ipd'", 'lines.hospcode', 'lines.an', 'lines.typedrug', 'lines.didstd'
        ]) }} as dispensing_key,
        'ipd' as setting,
        {{ surrogate_key(['lines.hospcode', 'lines.an']) }} as parent_key,
        lines.hospcode,
        coalesce(admissions.pid, lines.pid) as pid,
        case
            when lines.typedrug = '2' then coalesce({{ date_of('admissions.discharged_at') }}, lines.datefinish)
            -- What begins outside the stay is a slip, and must not shift a period.
            when
                lines.datestart between {{ date_of('admissions.admitted_at') }}
                and {{ date_of('admissions.discharged_at') }}
                then lines.datestart
        end as dispensed_date,
        lines.datetime_admit,
        lines.didstd,
        lines.typedrug = '2' as is_taken_home,
        lines.amount,
        lines.unit,
        lines.drugcost,
        lines.drugprice,
        lines.wardstay as clinic_code,
        lines.provider,
        admissions.admission_key is null as is_orphan,
        lines.delivery_id
    from inpatient_rows as lines
    left join {{ ref('int_admissions__enriched') }} as admissions
        on lines.hospcode = admissions.hospcode and lines.an = admissions.an
),

all_lines as (
    select * from visit_lines
    union all
    select
        dispensing_key,
        setting,
        parent_key,
        hospcode,
        pid,
        coalesce(dispensed_date, {{ date_of('datetime_admit') }}) as dispensed_date,
        didstd,
        is_taken_home,
        amount,
        unit,
        drugcost,
        drugprice,
        clinic_code,
        provider,
        is_orphan,
        delivery_id
    from admission_lines
),

placed as (
    {{ with_person_and_place('all_lines') }}
),

drugs as (
    select * from {{ ref('stg_drugs__map') }}
)

select
    placed.dispensing_key,
    placed.setting,
    case when placed.setting = 'opd' then placed.parent_key end as visit_key,
    case when placed.setting = 'ipd' then placed.parent_key end as admission_key,
    placed.hospcode,
    placed.person_key,
    placed.person_tier,
    placed.wide_person_key,
    placed.dispensed_date,
    {{ month_start('placed.dispensed_date') }} as service_month,
    placed.treatment_province_code,
    placed.didstd as drug_code,
    case when length(drugs.atc) = 7 then drugs.atc end as atc_code,
    drugs.route,
    drugs.is_chronic,
    placed.is_taken_home,
    placed.amount as quantity,
    placed.unit,
    drugs.units_per_day,
    {{ quotient_rounded_up('placed.amount', 'drugs.units_per_day') }} as days_supply,
    -- No sender tells the days: every figure there is was derived.
    {{ quotient_rounded_up('placed.amount', 'drugs.units_per_day') }} is not null as is_days_supply_imputed,
    drugs.strength_mg as strength,
    {{ line_amount('placed.amount', 'placed.drugcost') }} as cost,
    {{ line_amount('placed.amount', 'placed.drugprice') }} as price,
    placed.clinic_code,
    {{ key_of_provider('placed.hospcode', 'placed.provider') }} as provider_key,
    placed.is_orphan,
    placed.delivery_id
from placed
left join drugs on placed.didstd = drugs.didstd
{{ clustered_by('person_key') }}
