{#- Not kept: a table of it would differ from one build to the next without anything having changed. -#}
{{ config(materialized='ephemeral') }}

select
    finding_key,
    event_number,
    event,
    event_at,
    rule_code,
    axis,
    severity,
    hospcode,
    file,
    record,
    event_date,
    delivery_id,
    source_line
from {{ source('ruam', 'finding_events') }}
