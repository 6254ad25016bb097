with versions as (
    select
        *,
        max(version) over () as newest_version
    from {{ source('studies', 'rollout_effects') }}
)

select
    measure_id,
    part,
    term,
    event_month,
    effect,
    effect_low,
    effect_high,
    p_value,
    n_provinces,
    weight,
    verdict,
    data_from,
    data_to,
    n_left_out,
    n_controls,
    n_reports_received,
    n_reports_expected,
    method,
    version,
    as_of_date
from versions
where version = newest_version
