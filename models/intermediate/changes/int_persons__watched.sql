with horizon as (
    select
        min(last_day) as earliest_last_day,
        max(last_day) as latest_last_day,
        min(last_discharge_day) as earliest_last_discharge,
        max(last_discharge_day) as latest_last_discharge
    from {{ ref('int_data__bounded') }}
)

select person_key from {{ ref('int_persons__affected') }}
{%- for measure_id, set_id in {
    'UNR-08': 'CS_LBP', 'UNR-09': 'CS_HEADACHE', 'UNR-10': 'CS_SYNCOPE', 'UNR-11': 'CS_SINUS'
}.items() %}
{%- set days = measure_parameter(measure_id, 'window_max_days') %}
union distinct
select visits.person_key
from {{ ref('int_visits__indexed') }} as visits
cross join horizon
where
    visits.set_id = '{{ set_id }}'
    and {{ add_days('visits.date_serv', days) }} between horizon.earliest_last_day and horizon.latest_last_day
{%- endfor %}
{%- set days = measure_parameter('RED-03', 'cap_days') %}
union distinct
select visits.person_key
from {{ ref('int_visits__chained') }} as visits
cross join horizon
where {{ add_days('visits.date_serv', days) }} between horizon.earliest_last_day and horizon.latest_last_day
{%- for parameter in ['window_max_days', 'window_max_days_28'] %}
{%- set days = measure_parameter('NEC-01', parameter) %}
union distinct
select episodes.person_key
from {{ ref('int_episodes__summarized') }} as episodes
cross join horizon
where
    {{ add_days(date_of('episodes.ended_at'), days) }}
    between horizon.earliest_last_discharge and horizon.latest_last_discharge
{%- endfor %}
