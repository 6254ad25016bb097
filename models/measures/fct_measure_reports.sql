with data as (
    select
        min(service_month) as first_month,
        max(service_month) as last_month
    from {{ ref('fct_visits') }}
),

-- All months of the periods that hold data, up to the newest: those before the first delivery were owed too.
months as (
    select distinct months.month_start
    from {{ ref('bridge_months_periods') }} as months
    inner join {{ ref('bridge_months_periods') }} as touched
        on months.period_type = touched.period_type and months.period_start = touched.period_start
    cross join data
    where touched.month_start between data.first_month and data.last_month and months.month_start <= data.last_month
),

-- Who owes a report of which month is worked out once for all (`int_reports__expected`).
owed as (
    select
        inputs.measure_id,
        reports.hospcode,
        reports.report_month,
        count(*) as n_files
    from {{ ref('fct_reports') }} as reports
    inner join months on reports.report_month = months.month_start
    inner join {{ ref('dim_facilities') }} as facilities on reports.hospcode = facilities.hospcode
    inner join {{ ref('measure_inputs') }} as inputs on facilities.level <> 'primary' or not inputs.is_of_inpatients
    where reports.is_expected
    group by inputs.measure_id, reports.hospcode, reports.report_month
),

-- A file belongs to the months whose visits came in the same delivery.
visit_deliveries as (
    select distinct
        hospcode,
        service_month,
        delivery_id
    from {{ ref('fct_visits') }}
),

files as (
    select distinct
        visit_deliveries.hospcode,
        visit_deliveries.service_month,
        files.file
    from visit_deliveries
    inner join {{ ref('fct_delivery_files') }} as files on visit_deliveries.delivery_id = files.delivery_id
),

received as (
    select
        inputs.measure_id,
        files.hospcode,
        files.service_month,
        count(*) as n_files
    from files
    inner join {{ ref('measure_inputs') }} as inputs on files.file = inputs.file
    group by inputs.measure_id, files.hospcode, files.service_month
)

select
    owed.measure_id,
    owed.hospcode,
    owed.report_month as service_month,
    coalesce(received.n_files = owed.n_files, false) as is_received
from owed
left join received
    on
        owed.measure_id = received.measure_id
        and owed.hospcode = received.hospcode
        and owed.report_month = received.service_month
