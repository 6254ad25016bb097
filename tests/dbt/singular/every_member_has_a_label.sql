select distinct
    utilization.dimension,
    utilization.dimension_value
from {{ ref('agg_utilization') }} as utilization
left join {{ ref('dim_members') }} as members
    on utilization.dimension = members.dimension and utilization.dimension_value = members.member_code
where members.member_code is null
