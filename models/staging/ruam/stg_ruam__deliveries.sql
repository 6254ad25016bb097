select
    delivery_id,
    -- The same content may come under several names; the earliest counts, whichever came first.
    min(sent_at) as sent_at,
    min(received_at) as received_at,
    -- One whose name tells no time was sent when it came.
    coalesce(min(sent_at), min(received_at)) as came_at
from {{ ref('stg_ruam__receipts') }}
where delivery_id is not null
group by delivery_id
