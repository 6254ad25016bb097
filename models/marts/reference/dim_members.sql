{%- set unknown = {
    'facility_type': ('ไม่ทราบประเภท', 'Unknown type'),
    'affiliation': ('ไม่ทราบสังกัด', 'Unknown affiliation'),
    'age_band': ('ไม่ทราบอายุ', 'Unknown age'),
    'sex': ('ไม่ทราบเพศ', 'Unknown sex'),
    'hour': ('ไม่ทราบเวลา', 'Unknown time'),
    'condition_group': ('ไม่ทราบกลุ่มโรค', 'Unknown group'),
    'office_hours': ('ไม่ทราบว่าในหรือนอกเวลาราชการ', 'Not known'),
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
{%- for band, first in age_bands().items() %}
{%- set last = age_bands().values() | select('gt', first) | list | first %}
union all
select
    'age_band' as dimension,
    '{{ band }}' as member_code,
    '{{ first ~ "–" ~ (last - 1) ~ " ปี" if last else first ~ " ปีขึ้นไป" }}' as label_th,
    '{{ first ~ "–" ~ (last - 1) if last else first ~ " and over" }}' as label_en,
    {{ loop.index }} as sort_order
{%- endfor %}
{%- for code, labels in {'1': ('ชาย', 'Male'), '2': ('หญิง', 'Female')}.items() %}
union all
select
    'sex' as dimension,
    '{{ code }}' as member_code,
    '{{ labels[0] }}' as label_th,
    '{{ labels[1] }}' as label_en,
    {{ loop.index }} as sort_order
{%- endfor %}
{%- for code, labels in {
    'in_hours': ('ในเวลาราชการ', 'In office hours'), 'out_of_hours': ('นอกเวลาราชการ', 'Out of office hours')
}.items() %}
union all
select
    'office_hours' as dimension,
    '{{ code }}' as member_code,
    '{{ labels[0] }}' as label_th,
    '{{ labels[1] }}' as label_en,
    {{ loop.index }} as sort_order
{%- endfor %}
{%- for hour in range(24) %}
union all
select
    'hour' as dimension,
    '{{ "%02d" % hour }}' as member_code,
    '{{ "%02d.00–%02d.59 น." % (hour, hour) }}' as label_th,
    '{{ "%02d:00–%02d:59" % (hour, hour) }}' as label_en,
    {{ hour }} as sort_order
{%- endfor %}
union all
select distinct
    'condition_group' as dimension,
    condition_group as member_code,
    label_th,
    label_en,
    sort_order
from {{ ref('condition_groups') }}
union all
select
    'condition_group' as dimension,
    'other' as member_code,
    'โรคอื่น' as label_th,
    'Other conditions' as label_en,
    98 as sort_order
