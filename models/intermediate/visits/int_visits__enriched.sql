with services as (
    select * from {{ of_affected(ref('stg_f43__service'), 'registration') }}
),

persons as (
    select * from {{ ref('int_persons__identified') }}
),

facilities as (
    select * from {{ ref('int_facilities__classified') }}
),

affiliations as (
    select * from {{ ref('int_facilities__affiliated') }}
),

rollout as (
    select * from {{ ref('rollout_phases') }}
),

-- Few codes, many visits: the ranges are looked up once for each code.
rights as (
    select
        codes.instype,
        min(right_groups.group_code) as right_group
    from (select distinct instype from {{ of_affected(ref('stg_f43__service'), 'registration') }}) as codes
    inner join {{ ref('right_groups') }} as right_groups
        on length(codes.instype) = 4 and codes.instype between right_groups.code_from and right_groups.code_to
    group by codes.instype
),

-- The line of a principal diagnosis, padded so that it sorts as text; what follows it is of the first line.
diagnosis_lines as (
    select
        hospcode,
        seq,
        date_serv,
        case when diagtype = '1' then lpad({{ as_text('source_line') }}, 10, '0') end as principal_line,
        diagnosis_code,
        coalesce(clinic, '') as clinic
    from {{ of_affected(ref('stg_f43__diagnosis_opd'), 'visit') }}
),

diagnoses as (
    select
        hospcode,
        seq,
        date_serv,
        count(*) as n_diagnoses,
        substr(min(principal_line || diagnosis_code), 11) as principal_diagnosis,
        nullif(substr(min(principal_line || clinic), 11), '') as clinic_code
    from diagnosis_lines
    group by hospcode, seq, date_serv
),

accidents as (
    select
        hospcode,
        seq,
        {{ date_of('datetime_serv') }} as date_serv,
        min(urgency) as urgency
    from {{ ref('stg_f43__accident') }}
    group by hospcode, seq, {{ date_of('datetime_serv') }}
),

-- The claims of a visit come by the 16 files, whichever feed its row came by.
claims as (
    select
        hospcode,
        seq,
        date_serv,
        max(case when adp_type = '5' and adp_code = 'WALKIN' then 1 else 0 end) as is_walkin
    from {{ of_affected(ref('stg_f16__adp_opd'), 'visit') }}
    group by hospcode, seq, date_serv
),

claim_months as (
    select distinct
        hospcode,
        {{ month_start('date_serv') }} as claim_month
    from {{ ref('stg_f16__adp_opd') }}
),

located as (
    select
        services.*,
        persons.person_key,
        persons.wide_person_key,
        persons.person_number,
        persons.person_tier,
        case
            when services.typein = '5' then 'TELE'
            when services.typein = '4' or accidents.hospcode is not null then 'ED'
            else 'OP'
        end as visit_class,
        accidents.hospcode is not null as has_accident,
        coalesce(accidents.urgency in ('1', '2'), false) as is_urgent,
        coalesce(rights.right_group, 'unknown') as right_group,
        coalesce(facilities.facility_type_group, 'unknown') as facility_type_group,
        coalesce(affiliations.affiliation_group, 'unknown') as affiliation_group,
        coalesce(facilities.province_code, '99') as treatment_province_code,
        coalesce(facilities.region_code, '00') as treatment_region_code,
        coalesce(homes.province_code, '99') as home_province_code,
        coalesce(homes.region_code, '00') as home_region_code,
        coalesce(homes.province_code, '99') <> '99' as is_home_known,
        services.hospcode <> services.main
        and services.hospcode <> coalesce(services.hsub, services.main) as is_elsewhere,
        case when claim_months.hospcode is not null then coalesce(claims.is_walkin, 0) = 1 end as has_walkin_code,
        diagnoses.principal_diagnosis,
        diagnoses.clinic_code,
        coalesce(diagnoses.n_diagnoses, 0) as n_diagnoses
    from services
    inner join persons on services.hospcode = persons.hospcode and services.pid = persons.pid
    left join facilities on services.hospcode = facilities.hospcode
    left join facilities as homes on services.main = homes.hospcode
    left join affiliations
        on
            services.hospcode = affiliations.hospcode
            and services.date_serv between affiliations.valid_from and affiliations.valid_to
    left join rights on services.instype = rights.instype
    left join diagnoses
        on
            services.hospcode = diagnoses.hospcode
            and services.seq = diagnoses.seq
            and services.date_serv = diagnoses.date_serv
    left join accidents
        on
            services.hospcode = accidents.hospcode
            and services.seq = accidents.seq
            and services.date_serv = accidents.date_serv
    left join claims
        on
            services.hospcode = claims.hospcode
            and services.seq = claims.seq
            and services.date_serv = claims.date_serv
    left join claim_months
        on
            services.hospcode = claim_months.hospcode
            and {{ month_start('services.date_serv') }} = claim_months.claim_month
)

select
    {{ surrogate_key(['located.hospcode', 'located.seq', 'located.date_serv']) }} as visit_key,
    located.hospcode,
    located.pid,
    located.seq,
    located.date_serv,
    {{ month_start('located.date_serv') }} as service_month,
    located.time_serv,
    located.person_key,
    located.wide_person_key,
    located.person_number,
    located.person_tier,
    located.visit_class,
    located.typein,
    located.typeout,
    case located.intime when '1' then true when '2' then false end as is_in_hours,
    located.instype,
    located.right_group,
    located.main as main_hospcode,
    located.hsub as sub_hospcode,
    located.facility_type_group,
    located.affiliation_group,
    located.home_province_code,
    located.home_region_code,
    located.treatment_province_code,
    located.treatment_region_code,
    located.is_home_known,
    case when located.is_home_known then located.is_elsewhere end as is_out_of_network,
    case
        when located.is_home_known and located.treatment_province_code <> '99'
            then located.treatment_province_code <> located.home_province_code
    end as is_cross_province,
    case
        when located.is_home_known and located.treatment_province_code <> '99'
            then located.treatment_region_code <> located.home_region_code
    end as is_cross_region,
    coalesce(
        located.instype = '0100'
        and located.is_home_known
        and located.is_elsewhere
        and coalesce(located.typein, '') not in ('3', '4')
        and not located.is_urgent,
        false
    ) as is_anywhere_uc,
    coalesce(
        home_rollout.actual_date <= located.date_serv and treatment_rollout.actual_date <= located.date_serv, false
    ) as is_policy_eligible,
    located.has_walkin_code,
    located.principal_diagnosis,
    located.clinic_code,
    located.n_diagnoses,
    located.has_accident,
    located.is_urgent,
    located.cost,
    located.price,
    located.payprice as pay_price,
    located.actualpay as actual_pay,
    located.d_update as updated_at,
    located.delivery_id,
    located.row_flags
from located
left join rollout as home_rollout on located.home_province_code = home_rollout.province_code
left join rollout as treatment_rollout on located.treatment_province_code = treatment_rollout.province_code
{{ clustered_by('person_key') }}
