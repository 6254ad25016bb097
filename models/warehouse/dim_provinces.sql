select
    provinces.province_code,
    provinces.name_th,
    provinces.name_en,
    provinces.region_code,
    rollout_phases.phase,
    rollout_phases.planned_date,
    rollout_phases.partial_service_date,
    rollout_phases.actual_date,
    rollout_phases.plan_source,
    rollout_phases.actual_source,
    rollout_phases.budget_fiscal_year_be
from {{ ref('provinces') }} as provinces
left join {{ ref('rollout_phases') }} as rollout_phases on provinces.province_code = rollout_phases.province_code
union all
select
    '99' as province_code,
    'ไม่ทราบจังหวัด' as name_th,
    'Unknown province' as name_en,
    '00' as region_code,
    null as phase,
    null as planned_date,
    null as partial_service_date,
    null as actual_date,
    null as plan_source,
    null as actual_source,
    null as budget_fiscal_year_be
