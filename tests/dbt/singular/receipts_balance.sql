{{ config(meta={'gate': 'row_balance'}) }}
-- Rows sent are landed or rejected, none lost, in every delivery that was taken in.
select
    delivery_id,
    file_name
from {{ ref('stg_ruam__receipts') }}
where outcome in ('accepted', 'accepted_with_rejects') and n_rows <> n_landed + n_rejected
