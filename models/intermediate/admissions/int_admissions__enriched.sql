with admissions as (
    select
        stays.*,
        row_number() over (
            partition by stays.hospcode, stays.an
            order by
                stays.d_update desc nulls last,
                deliveries.sent_at desc nulls last,
                stays.datetime_disch desc,
                stays.delivery_id desc,
                stays.source_line desc
        ) as recency
    from {{ of_affected(ref('stg_f43__admission'), 'stay') }} as stays
    inner join {{ ref('stg_ruam__deliveries') }} as deliveries on stays.delivery_id = deliveries.delivery_id
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

rights as (
    select
        codes.instype,
        min(right_groups.group_code) as right_group
    from (select distinct instype from admissions) as codes
    inner join {{ ref('right_groups') }} as right_groups
        on length(codes.instype) = 4 and codes.instype between right_groups.code_from and right_groups.code_to
    group by codes.instype
),

diagnoses as (
    select
        hospcode,
        an,
        -- The code of the first line: the line, padded so that it sorts as text, then the code.
        substr(
            min(case when diagtype = '1' then lpad({{ as_text('source_line') }}, 10, '0') || diagnosis_code end), 11
        ) as principal_diagnosis
    from {{ of_affected(ref('stg_f43__diagnosis_ipd'), 'stay') }}
    group by hospcode, an
)

select
    {{ surrogate_key(['admissions.hospcode', 'admissions.an']) }} as admission_key,
    admissions.hospcode,
    admissions.pid,
    admissions.an,
    admissions.seq,
    persons.person_key,
    persons.wide_person_key,
    persons.person_tier,
    admissions.datetime_admit as admitted_at,
    admissions.datetime_disch as discharged_at,
    {{ month_start('admissions.datetime_disch') }} as discharge_month,
    case
        when {{ days_between(date_of('admissions.datetime_admit'), date_of('admissions.datetime_disch')) }} > 1
            then {{ days_between(date_of('admissions.datetime_admit'), date_of('admissions.datetime_disch')) }}
        else 1
    end as bed_days,
    admissions.typein,
    admissions.referinhosp as refer_in_hospcode,
    admissions.dischtype as discharge_type,
    admissions.dischstatus as discharge_status,
    diagnoses.principal_diagnosis,
    admissions.instype,
    coalesce(rights.right_group, 'unknown') as right_group,
    coalesce(facilities.facility_type_group, 'unknown') as facility_type_group,
    coalesce(affiliations.affiliation_group, 'unknown') as affiliation_group,
    coalesce(facilities.province_code, '99') as treatment_province_code,
    coalesce(facilities.region_code, '00') as treatment_region_code,
    admissions.drg,
    admissions.rw as relative_weight,
    admissions.adjrw as adjusted_relative_weight,
    admissions.cost,
    admissions.price,
    admissions.payprice as pay_price,
    admissions.actualpay as actual_pay,
    admissions.d_update as updated_at,
    admissions.delivery_id,
    admissions.row_flags
from admissions
inner join persons on admissions.hospcode = persons.hospcode and admissions.pid = persons.pid
left join facilities on admissions.hospcode = facilities.hospcode
left join affiliations
    on
        admissions.hospcode = affiliations.hospcode
        and {{ date_of('admissions.datetime_disch') }} between affiliations.valid_from and affiliations.valid_to
left join rights on admissions.instype = rights.instype
left join diagnoses on admissions.hospcode = diagnoses.hospcode and admissions.an = diagnoses.an
where admissions.recency = 1
