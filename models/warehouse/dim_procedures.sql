with codes as (
    select
        procedure_code,
        min(modality) as modality,
        min(body_region) as body_region,
        case
            when {{ matches_pattern('procedure_code', "'^[0-9]{2,4}$'") }} then 'icd9cm'
            when {{ matches_pattern('procedure_code', "'^[0-9]{7}$'") }} then 'icd10tm'
            else 'unknown'
        end as code_system
    from {{ ref('fct_procedures') }}
    where procedure_code is not null
    group by procedure_code
),

chapters as (
    select * from {{ ref('procedure_chapters') }}
)

select
    codes.procedure_code,
    codes.code_system,
    coalesce(
        chapters.chapter_code, case when codes.code_system = 'icd10tm' then 'thai_modification' else 'unknown' end
    ) as chapter_code,
    coalesce(
        chapters.label_th,
        case when codes.code_system = 'icd10tm' then 'หัตถการตามรหัส ICD-10-TM' else 'ไม่ทราบหมวดหัตถการ' end
    ) as chapter_th,
    coalesce(
        chapters.label_en,
        case when codes.code_system = 'icd10tm' then 'Procedures of ICD-10-TM' else 'Unknown chapter' end
    ) as chapter_en,
    codes.modality,
    codes.body_region,
    codes.code_system <> 'unknown' as is_known
from codes
left join chapters
    on
        codes.code_system = 'icd9cm'
        and substr(codes.procedure_code, 1, 2) between chapters.code_from and chapters.code_to
