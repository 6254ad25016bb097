with visits as (
    select
        visit_key,
        hospcode,
        service_month,
        right_group,
        visit_class,
        principal_diagnosis
    from {{ ref('fct_visits') }}
),

sent as (
    select
        hospcode,
        service_month,
        count(*) as n_visits,
        sum(case when principal_diagnosis is null then 1 else 0 end) as n_without_principal
    from visits
    group by hospcode, service_month
),

volume as (
    select
        hospcode,
        service_month,
        'visits' as series,
        'all' as member,
        n_visits as n_events,
        {{ days_between('service_month', add_months('service_month', 1)) }} as n_asked
    from sent
),

without_principal as (
    select
        hospcode,
        service_month,
        'without_principal' as series,
        'all' as member,
        n_without_principal as n_events,
        n_visits as n_asked
    from sent
),

ill_defined as (
    select
        visits.hospcode,
        visits.service_month,
        'ill_defined' as series,
        'all' as member,
        sum(
            case
                when not coalesce(diseases.is_known, false) or diseases.chapter_code = chapters.chapter_code then 1
                else 0
            end
        )
            as n_events,
        count(*) as n_asked
    from visits
    left join {{ ref('dim_diseases') }} as diseases on visits.principal_diagnosis = diseases.diagnosis_code
    left join {{ ref('icd10_chapters') }} as chapters on chapters.code_from = 'R00'
    where visits.principal_diagnosis is not null
    group by visits.hospcode, visits.service_month
),

departments as (
    select
        diagnoses.visit_key,
        min(clinics.department_code) as department_code
    from {{ ref('fct_diagnoses') }} as diagnoses
    inner join {{ ref('dim_clinics') }} as clinics on diagnoses.clinic_code = clinics.clinic_code
    where diagnoses.is_principal and diagnoses.visit_key is not null
    group by diagnoses.visit_key
),

mixed as (
    select
        hospcode,
        service_month,
        'right' as series,
        right_group as member,
        count(*) as n_events
    from visits
    group by hospcode, service_month, right_group
    union all
    select
        hospcode,
        service_month,
        'visit_class' as series,
        visit_class as member,
        count(*) as n_events
    from visits
    group by hospcode, service_month, visit_class
    union all
    select
        visits.hospcode,
        visits.service_month,
        'department' as series,
        departments.department_code as member,
        count(*) as n_events
    from visits
    inner join departments on visits.visit_key = departments.visit_key
    group by visits.hospcode, visits.service_month, departments.department_code
),

wholes as (
    select
        hospcode,
        service_month,
        series,
        sum(n_events) as n_asked
    from mixed
    group by hospcode, service_month, series
),

members as (
    select distinct
        hospcode,
        series,
        member
    from mixed
),

-- In a month in which others were seen and this member was not, its share is 0, and counts.
shares as (
    select
        wholes.hospcode,
        wholes.service_month,
        wholes.series,
        members.member,
        coalesce(mixed.n_events, 0) as n_events,
        wholes.n_asked
    from wholes
    inner join members on wholes.hospcode = members.hospcode and wholes.series = members.series
    left join mixed
        on
            wholes.hospcode = mixed.hospcode
            and wholes.service_month = mixed.service_month
            and wholes.series = mixed.series
            and members.member = mixed.member
),

all_series as (
    select * from volume
    union all
    select * from without_principal
    union all
    select * from ill_defined
    union all
    select * from shares
)

select
    hospcode,
    service_month,
    series,
    member,
    cast(n_events as bigint) as n_events,
    cast(n_asked as bigint) as n_asked
from all_series
