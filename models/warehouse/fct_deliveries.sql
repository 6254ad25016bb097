select
    receipts.batch,
    receipts.delivery_id,
    receipts.file_name,
    receipts.hospcode,
    coalesce(facilities.province_code, '99') as province_code,
    receipts.sent_at,
    receipts.received_at,
    {{ month_start('receipts.received_at') }} as received_month,
    receipts.outcome,
    receipts.reason,
    receipts.n_rows,
    receipts.n_landed,
    receipts.n_rejected,
    receipts.n_flagged
from {{ ref('stg_ruam__receipts') }} as receipts
left join {{ ref('int_facilities__classified') }} as facilities on receipts.hospcode = facilities.hospcode
