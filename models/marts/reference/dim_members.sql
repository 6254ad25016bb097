{%- set unknown = {
    'facility_type': ('ไม่ทราบประเภท', 'Unknown type'),
    'affiliation': ('ไม่ทราบสังกัด', 'Unknown affiliation'),
} -%}

select distinct
    'facility_type' as dimension,
    group_code as member_code,
    group_th as label_th,
    group_en as label_en,
    sort_order
from {{ ref('facility_types') }}
union all
select distinct
    'affiliation' as dimension,
    group_code as member_code,
    group_th as label_th,
    group_en as label_en,
    sort_order
from {{ ref('affiliations') }}
{%- for dimension, labels in unknown.items() %}
union all
select
    '{{ dimension }}' as dimension,
    'unknown' as member_code,
    '{{ labels[0] }}' as label_th,
    '{{ labels[1] }}' as label_en,
    99 as sort_order
{%- endfor %}
union all
select
    'right_group' as dimension,
    right_group as member_code,
    label_th,
    label_en,
    sort_order
from {{ ref('dim_rights') }}
union all
select
    'visit_class' as dimension,
    'OP' as member_code,
    'ผู้ป่วยนอก' as label_th,
    'Outpatient' as label_en,
    1 as sort_order
union all
select
    'visit_class' as dimension,
    'ED' as member_code,
    'ฉุกเฉิน' as label_th,
    'Emergency' as label_en,
    2 as sort_order
union all
select
    'visit_class' as dimension,
    'TELE' as member_code,
    'การแพทย์ทางไกล' as label_th,
    'Telehealth' as label_en,
    3 as sort_order
union all
select
    'all' as dimension,
    'all' as member_code,
    'ทั้งหมด' as label_th,
    'All' as label_en,
    1 as sort_order
