with visits as (
    select
        min(date_serv) as data_from,
        max(date_serv) as data_to
    from {{ ref('fct_visits') }}
),

deliveries as (
    select
        max(sent_at) as last_sent_at,
        max(received_at) as last_received_at,
        count(distinct case when outcome <> 'rejected' then delivery_id end) as n_deliveries
    from {{ ref('fct_deliveries') }}
)

select
    {{ utc_now() }} as built_at,
    visits.data_from,
    visits.data_to,
    deliveries.last_sent_at,
    deliveries.last_received_at,
    deliveries.n_deliveries
from visits
cross join deliveries
