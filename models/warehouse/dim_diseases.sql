with codes as (
    select diagnosis_code from {{ ref('fct_diagnoses') }}
    where diagnosis_code is not null
    union distinct
    select diagnosis_code from {{ ref('fct_chronic_registrations') }}
    where diagnosis_code is not null
    union distinct
    select underlying_cause_code from {{ ref('fct_deaths') }}
    where underlying_cause_code is not null
),

shaped as (
    select
        diagnosis_code,
        case when {{ matches_pattern('diagnosis_code', "'^[A-Z][0-9][0-9A-Z]'") }} then substr(diagnosis_code, 1, 3) end
            as category_code
    from codes
),

chapters as (
    select * from {{ ref('icd10_chapters') }}
),

-- A code outside all chapters belongs to no category: it is not known.
known as (
    select
        shaped.diagnosis_code,
        case when chapters.chapter_code is not null then shaped.category_code end as category_code,
        chapters.chapter_code,
        chapters.label_th,
        chapters.label_en
    from shaped
    left join chapters on shaped.category_code between chapters.code_from and chapters.code_to
),

matched as (
    select
        known.diagnosis_code,
        min(condition_groups.sort_order) as sort_order
    from known
    inner join {{ ref('condition_groups') }} as condition_groups
        on
            known.chapter_code is not null
            and {{ matches_pattern('known.diagnosis_code', 'condition_groups.pattern') }}
    group by known.diagnosis_code
),

preventive as (
    {{ codes_of_set('codes', 'diagnosis_code', 'CS_PREVENTION') }}
)

select
    known.diagnosis_code,
    known.category_code,
    coalesce(known.chapter_code, 'unknown') as chapter_code,
    coalesce(known.label_th, 'ไม่ทราบหมวดโรค') as chapter_th,
    coalesce(known.label_en, 'Unknown chapter') as chapter_en,
    coalesce(
        condition_groups.condition_group, case when known.chapter_code is null then 'unknown' else 'other' end
    ) as condition_group,
    coalesce(
        condition_groups.label_th, case when known.chapter_code is null then 'ไม่ทราบกลุ่มโรค' else 'โรคอื่น' end
    ) as condition_group_th,
    coalesce(
        condition_groups.label_en, case when known.chapter_code is null then 'Unknown group' else 'Other conditions' end
    ) as condition_group_en,
    known.chapter_code is not null as is_known,
    preventive.diagnosis_code is not null as is_prevention
from known
left join preventive on known.diagnosis_code = preventive.diagnosis_code
left join matched on known.diagnosis_code = matched.diagnosis_code
left join {{ ref('condition_groups') }} as condition_groups on matched.sort_order = condition_groups.sort_order
