{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

with visits as (
    select
        min(date_serv) as first_day,
        max(date_serv) as last_day,
        max(service_month) as last_month
    from {{ ref('int_visits__enriched') }}
),

episodes as (
    select max({{ date_of('ended_at') }}) as last_discharge_day
    from {{ ref('int_episodes__summarized') }}
)

select
    {% if is_incremental() %}(select coalesce(max(build_number), 0) + 1 from {{ this }}){% else %}1{% endif %}
        as build_number,
    visits.first_day,
    visits.last_day,
    visits.last_month,
    episodes.last_discharge_day
from visits
cross join episodes
