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

facilities as (
    select
        hospcode,
        level <> 'primary' as has_inpatients
    from {{ ref('dim_facilities') }}
    where is_expected_to_send
),

owed as (
    select
        inputs.measure_id,
        facilities.hospcode,
        count(*) as n_files
    from facilities
    inner join {{ ref('measure_inputs') }} as inputs on facilities.has_inpatients or not inputs.is_of_inpatients
    group by inputs.measure_id, facilities.hospcode
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
    months.month_start as service_month,
    coalesce(received.n_files = owed.n_files, false) as is_received
from owed
cross join months
left join received
    on
        owed.measure_id = received.measure_id
        and owed.hospcode = received.hospcode
        and months.month_start = received.service_month
