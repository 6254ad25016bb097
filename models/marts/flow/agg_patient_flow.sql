select
    period_type,
    period_start,
    period_end,
    home_level,
    home_code,
    treatment_code,
    n_visits,
    n_out_of_network_visits,
    n_persons,
    -- No mean of fewer than ten.
    case when n_priced_visits >= 10 then round({{ ratio('visit_price', 'n_priced_visits') }}, 0) end as mean_visit_price
from {{ ref('fct_flow_cells') }}
