with referrals as (
    select * from {{ ref('stg_f43__refer_history') }}
),

results as (
    select distinct
        hosp_source,
        referid_source
    from {{ ref('stg_f43__refer_result') }}
),

answering as (
    select distinct hospcode
    from {{ ref('stg_f43__refer_result') }}
),

services as (
    select
        hospcode,
        seq,
        date_serv,
        typeout
    from {{ ref('stg_f43__service') }}
),

stays as (
    select distinct
        hospcode,
        an
    from {{ ref('stg_f43__admission') }}
),

facilities as (
    select * from {{ ref('int_facilities__classified') }}
),

-- Of the visits referred alone: those of everybody are many times as many.
diagnoses as (
    select distinct
        diagnoses.hospcode,
        diagnoses.seq
    from {{ ref('stg_f43__diagnosis_opd') }} as diagnoses
    inner join referrals on diagnoses.hospcode = referrals.hospcode and diagnoses.seq = referrals.seq
),

examined as (
    select
        referrals.hospcode,
        'REFER_HISTORY' as file,
        referrals.referid as record,
        {{ date_of('referrals.datetime_refer') }} as event_date,
        referrals.delivery_id,
        referrals.source_line,
        referrals.datetime_refer as referred_at,
        referrals.datetime_serv as served_at,
        referrals.hosp_destination as destination,
        facilities.hospcode is not null as is_destination_known,
        referrals.causeout as cause,
        referrals.ptype as patient_type,
        referrals.emergency as urgency,
        referrals.an is not null as is_of_stay,
        services.seq is not null as has_visit,
        stays.an is not null as has_stay,
        services.typeout,
        diagnoses.seq is not null as has_diagnosis,
        answering.hospcode is not null as is_destination_answering,
        results.referid_source is not null as is_answered
    from referrals
    left join results on referrals.hospcode = results.hosp_source and referrals.referid = results.referid_source
    left join answering on referrals.hosp_destination = answering.hospcode
    left join services
        on
            referrals.hospcode = services.hospcode
            and referrals.seq = services.seq
            and {{ date_of('referrals.datetime_serv') }} = services.date_serv
    left join stays on referrals.hospcode = stays.hospcode and referrals.an = stays.an
    left join diagnoses on referrals.hospcode = diagnoses.hospcode and referrals.seq = diagnoses.seq
    left join facilities on referrals.hosp_destination = facilities.hospcode
)

{{ examined_rows('int_referrals__examined', 'examined') }}
