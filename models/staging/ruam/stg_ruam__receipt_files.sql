{{ config(materialized='incremental', unique_key='batch') }}

select
    batch,
    delivery_id,
    hospcode,
    file,
    member,
    layout,
    header,
    encoding,
    n_rows,
    n_landed,
    n_rejected,
    n_flagged,
    missing_columns,
    unknown_columns
from {{ source('ruam', 'receipt_files') }}
where {{ in_new_batches() }}
