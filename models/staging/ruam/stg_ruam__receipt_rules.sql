{{ config(materialized='incremental', unique_key='batch') }}

select
    batch,
    delivery_id,
    hospcode,
    file,
    rule,
    -- Empty where a rule is of the row and no column of it.
    coalesce(column_name, '') as column_name,
    level,
    n_rows
from {{ source('ruam', 'receipt_rules') }}
where {{ in_new_batches() }}
