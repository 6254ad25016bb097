with months as (
    select distinct
        month_start,
        fiscal_year_start
    from {{ ref('dim_dates') }}
),

data as (
    select max(service_month) as last_month
    from {{ ref('fct_visits') }}
)

select
    month_start,
    'month' as period_type,
    month_start as period_start,
    {{ add_days(add_months('month_start', 1), -1) }} as period_end
from months
union all
select
    month_start,
    'quarter' as period_type,
    {{ quarter_start('month_start') }} as period_start,
    {{ add_days(add_months(quarter_start('month_start'), 3), -1) }} as period_end
from months
union all
select
    month_start,
    'fiscal_year' as period_type,
    fiscal_year_start as period_start,
    {{ add_days(add_months('fiscal_year_start', 12), -1) }} as period_end
from months
union all
select
    months.month_start,
    'last_12_months' as period_type,
    {{ add_months('data.last_month', -11) }} as period_start,
    {{ add_days(add_months('data.last_month', 1), -1) }} as period_end
from months
inner join data
    on months.month_start between {{ add_months('data.last_month', -11) }} and data.last_month
