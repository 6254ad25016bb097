{{ config(materialized='incremental', unique_key='batch') }}

select
    batch,
    delivery_id,
    file_name,
    hospcode,
    sent_at,
    received_at,
    outcome,
    reason,
    n_bytes,
    n_rows,
    n_landed,
    n_rejected,
    n_flagged
from {{ source('ruam', 'receipts') }}
where {{ in_new_batches() }}
