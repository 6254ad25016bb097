with visits as (
    select * from {{ of_affected(ref('int_visits__merged')) }}
),

necessary_repeats as (
    {{ codes_of_set(of_affected(ref('int_visits__merged')), 'principal_diagnosis', 'necessary_repeat') }}
),

-- The first group in order takes a code; few codes, many visits: each is matched once.
matched_groups as (
    select
        codes.principal_diagnosis,
        min(condition_groups.sort_order) as sort_order
    from (select distinct principal_diagnosis from {{ of_affected(ref('int_visits__merged')) }}) as codes
    inner join {{ ref('condition_groups') }} as condition_groups
        on {{ matches_pattern('codes.principal_diagnosis', 'condition_groups.pattern') }}
    group by codes.principal_diagnosis
),

grouped_codes as (
    select
        matched_groups.principal_diagnosis,
        condition_groups.condition_group
    from matched_groups
    inner join {{ ref('condition_groups') }} as condition_groups
        on matched_groups.sort_order = condition_groups.sort_order
)

select
    visits.visit_key,
    visits.hospcode,
    visits.pid,
    visits.seq,
    visits.date_serv,
    visits.time_serv,
    visits.person_key,
    visits.wide_person_key,
    visits.person_tier,
    visits.visit_class,
    visits.typein,
    visits.typeout,
    visits.is_in_hours,
    visits.main_hospcode,
    visits.sub_hospcode,
    visits.treatment_province_code,
    visits.principal_diagnosis,
    -- A code that is not of ICD-10's shape is no condition (resources may bear SNOMED CT alone).
    case
        when {{ matches_pattern('visits.principal_diagnosis', "'^[A-Z][0-9]'") }}
            then substr(visits.principal_diagnosis, 1, 3)
    end as condition_code,
    grouped_codes.condition_group,
    {{ department_of_clinic('visits.clinic_code') }} as department_code,
    visits.price,
    visits.n_services,
    necessary_repeats.principal_diagnosis is not null as is_necessary_repeat,
    visits.visit_class in ('OP', 'TELE')
    and coalesce(visits.typein, '') in ('1', '5')
    and coalesce(visits.typeout, '') not in ('2', '4', '5', '6')
    and necessary_repeats.principal_diagnosis is null as is_eligible
from visits
left join necessary_repeats on visits.principal_diagnosis = necessary_repeats.principal_diagnosis
left join grouped_codes on visits.principal_diagnosis = grouped_codes.principal_diagnosis
{{ clustered_by('person_key') }}
