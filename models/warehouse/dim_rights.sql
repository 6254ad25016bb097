select
    group_code as right_group,
    min(label_th) as label_th,
    min(label_en) as label_en,
    min(sort_order) as sort_order
from {{ ref('right_groups') }}
group by group_code
union all
select
    'unknown' as right_group,
    'ไม่ทราบสิทธิ' as label_th,
    'Unknown right' as label_en,
    99 as sort_order
