select
    delivery_id,
    -- The same content may come under several names; the earliest counts, whichever came first.
    min(sent_at) as sent_at,
    min(received_at) as received_at
from {{ ref('stg_ruam__receipts') }}
where delivery_id is not null
group by delivery_id
