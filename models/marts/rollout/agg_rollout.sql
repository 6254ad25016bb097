select
    province_code,
    region_code,
    phase,
    planned_date,
    partial_service_date,
    actual_date,
    plan_source,
    actual_source,
    budget_fiscal_year_be,
    {{ days_between('planned_date', 'actual_date') }} as variance_days
from {{ ref('dim_provinces') }}
where phase is not null
