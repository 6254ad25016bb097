with told as (
    select * from {{ ref('stg_ruam__finding_events') }}
),

deliveries as (
    select * from {{ ref('stg_ruam__deliveries') }}
),

numbered as (
    select
        told.*,
        row_number() over (partition by finding_key order by event_number desc) as recency
    from told
),

newest as (
    select * from numbered
    where recency = 1
),

standing as (
    select
        findings.*,
        deliveries.came_at
    from {{ ref('fct_findings') }} as findings
    left join deliveries on findings.delivery_id = deliveries.delivery_id
),

accepted as (
    select distinct
        receipts.hospcode,
        receipts.delivery_id,
        deliveries.came_at as sent_at
    from {{ ref('stg_ruam__receipts') }} as receipts
    inner join deliveries on receipts.delivery_id = deliveries.delivery_id
    where receipts.outcome in ('accepted', 'accepted_with_rejects')
),

ranked as (
    select
        accepted.*,
        row_number() over (partition by hospcode order by sent_at desc, delivery_id desc) as recency
    from accepted
),

-- The newest delivery of each facility: by then a finding that no longer stands was mended.
latest as (
    select * from ranked
    where recency = 1
),

opened as (
    select
        standing.finding_key,
        coalesce(newest.event_number, 0) + 1 as event_number,
        'opened' as event,
        -- Never before it was last fixed, whatever the row's own delivery says.
        case when newest.event_at > standing.came_at then newest.event_at else standing.came_at end as event_at,
        standing.rule_code,
        standing.axis,
        standing.severity,
        standing.hospcode,
        standing.file,
        standing.record,
        standing.event_date,
        standing.delivery_id,
        standing.source_line
    from standing
    left join newest on standing.finding_key = newest.finding_key
    where newest.event is null or newest.event = 'fixed'
),

fixed as (
    select
        newest.finding_key,
        newest.event_number + 1 as event_number,
        'fixed' as event,
        case when latest.sent_at > newest.event_at then latest.sent_at else newest.event_at end as event_at,
        newest.rule_code,
        newest.axis,
        newest.severity,
        newest.hospcode,
        newest.file,
        newest.record,
        newest.event_date,
        coalesce(latest.delivery_id, newest.delivery_id) as delivery_id,
        newest.source_line
    from newest
    left join standing on newest.finding_key = standing.finding_key
    left join latest on newest.hospcode = latest.hospcode
    where newest.event = 'opened' and standing.finding_key is null
),

events as (
    select
        finding_key, event_number, event, event_at, rule_code, axis, severity, hospcode, file, record, event_date,
        delivery_id, source_line
    from told
    union all
    select * from opened
    union all
    select * from fixed
)

select
    finding_key,
    cast(event_number as integer) as event_number,
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
from events
