{#-
  The rows of fct_flow_cells, of some persons or of all (macros/incremental/contributions.sql).
-#}
{% macro flow_cells(read, persons=none) -%}
with visits as (
    select
        service_month,
        home_province_code,
        treatment_province_code,
        person_number,
        count(*) as n_visits,
        count(case when is_out_of_network then 1 end) as n_out_of_network_visits,
        count(price) as n_priced_visits,
        coalesce(sum(price), 0) as visit_price
    from {{ of_persons(read('fct_visits'), persons) }} as visits
    group by service_month, home_province_code, treatment_province_code, person_number
),

areas as (
    select * from {{ read('bridge_provinces_areas') }}
    where area_level <> 'nation'
),

periods as (
    select * from {{ read('bridge_months_periods') }}
),

-- Every cell that a month's flow between two provinces counts in, numbered: counting people by text keys is slow.
targets as (
    select
        flows.service_month,
        flows.home_province_code,
        flows.treatment_province_code,
        periods.period_type,
        periods.period_start,
        periods.period_end,
        homes.area_level as home_level,
        homes.area_code as home_code,
        treatments.area_code as treatment_code,
        dense_rank() over (
            order by periods.period_type, periods.period_start, homes.area_level, homes.area_code, treatments.area_code
        ) as cell_number
    from (
        select distinct
            service_month,
            home_province_code,
            treatment_province_code
        from visits
    ) as flows
    inner join periods on flows.service_month = periods.month_start
    inner join areas as homes on flows.home_province_code = homes.province_code
    inner join areas as treatments
        on flows.treatment_province_code = treatments.province_code and homes.area_level = treatments.area_level
),

cells as (
    select distinct
        cell_number,
        period_type,
        period_start,
        period_end,
        home_level,
        home_code,
        treatment_code
    from targets
),

counts as (
    select
        targets.cell_number,
        sum(visits.n_visits) as n_visits,
        sum(visits.n_out_of_network_visits) as n_out_of_network_visits,
        sum(visits.n_priced_visits) as n_priced_visits,
        sum(visits.visit_price) as visit_price,
        count(distinct visits.person_number) as n_persons
    from visits
    inner join targets
        on
            visits.service_month = targets.service_month
            and visits.home_province_code = targets.home_province_code
            and visits.treatment_province_code = targets.treatment_province_code
    group by targets.cell_number
)

select
    cells.period_type,
    cells.period_start,
    cells.period_end,
    cells.home_level,
    cells.home_code,
    cells.treatment_code,
    cast(counts.n_visits as bigint) as n_visits,
    cast(counts.n_out_of_network_visits as bigint) as n_out_of_network_visits,
    cast(counts.n_priced_visits as bigint) as n_priced_visits,
    cast(counts.visit_price as decimal(28, 4)) as visit_price,
    counts.n_persons
from cells
inner join counts on cells.cell_number = counts.cell_number
{%- endmacro %}
