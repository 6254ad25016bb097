-- Rows that fit their file, and months that drift: what builds saw of each.
with events as (
    select
        events.*,
        row_number() over (partition by finding_key order by event_number desc) as recency,
        max(case when event = 'opened' then event_number end) over (partition by finding_key) as last_opening
    from {{ ref('fct_finding_events') }} as events
),

openings as (
    select
        finding_key,
        count(*) as n_times_opened,
        min(event_at) as first_opened_at,
        max(event_at) as last_opened_at,
        max(case when event_number = last_opening then delivery_id end) as opening_delivery_id
    from events
    where event = 'opened'
    group by finding_key
),

standing as (
    select * from {{ ref('fct_findings') }}
),

rows_of_files as (
    select
        events.finding_key,
        case
            when events.rule_code in (
                {%- for rule in rules_over('fct_facility_drifts') %}
                '{{ rule.code }}'{{ ',' if not loop.last }}
                {%- endfor %}
            ) then 'drift'
            else 'row'
        end as kind,
        events.rule_code,
        events.axis,
        events.severity,
        events.hospcode,
        events.file,
        {{ null_text() }} as column_name,
        events.record,
        events.event_date,
        -- Where the row stands now; of one that was fixed, where the fault stood.
        coalesce(standing.delivery_id, openings.opening_delivery_id) as delivery_id,
        coalesce(standing.source_line, events.source_line) as source_line,
        standing.detail,
        case when events.source_line is not null then 1 end as n_rows,
        openings.n_times_opened,
        openings.first_opened_at,
        openings.last_opened_at,
        openings.opening_delivery_id,
        case when events.event = 'fixed' then events.event_at end as fixed_at,
        case when events.event = 'fixed' then events.delivery_id end as fixing_delivery_id
    from events
    inner join openings on events.finding_key = openings.finding_key
    left join standing on events.finding_key = standing.finding_key
    where events.recency = 1
),

deliveries as (
    select * from {{ ref('stg_ruam__deliveries') }}
),

receipts as (
    select distinct
        hospcode,
        delivery_id,
        outcome,
        reason
    from {{ ref('stg_ruam__receipts') }}
    where hospcode is not null and outcome <> 'duplicate'
),

accepted as (
    select distinct
        hospcode,
        delivery_id
    from receipts
    where outcome <> 'rejected'
),

-- What reading may have found fault with: a whole delivery (its file is '*'), and each file of one.
readings as (
    select
        hospcode,
        '*' as file,
        delivery_id
    from receipts
    union
    select
        hospcode,
        file,
        delivery_id
    from {{ ref('stg_ruam__receipt_files') }}
),

ordered as (
    select
        readings.*,
        deliveries.came_at as sent_at,
        row_number() over (
            partition by readings.hospcode, readings.file
            order by deliveries.came_at, readings.delivery_id
        ) as reading_number
    from readings
    inner join deliveries on readings.delivery_id = deliveries.delivery_id
),

lengths as (
    select
        hospcode,
        file,
        max(reading_number) as n_readings
    from ordered
    group by hospcode, file
),

-- The cause is what goes on from one delivery to the next: a row that was set aside has no key that may be known.
faults as (
    select
        hospcode,
        file,
        delivery_id,
        rule as rule_code,
        column_name,
        level,
        sum(n_rows) as n_rows
    from {{ ref('stg_ruam__receipt_rules') }}
    where level in ('row', 'warning')
    group by hospcode, file, delivery_id, rule, column_name, level
    union all
    select
        receipts.hospcode,
        '*' as file,
        receipts.delivery_id,
        receipts.reason as rule_code,
        '' as column_name,
        'delivery' as level,
        cast(null as bigint) as n_rows
    from receipts
    -- One that was released since is rejected no longer.
    left join accepted on receipts.hospcode = accepted.hospcode and receipts.delivery_id = accepted.delivery_id
    where receipts.outcome = 'rejected' and accepted.delivery_id is null
),

placed as (
    select
        faults.*,
        ordered.sent_at,
        ordered.reading_number,
        -- Readings in a row that found the fault differ from their rank among those that found it by the same number.
        ordered.reading_number - row_number() over (
            partition by faults.hospcode, faults.file, faults.rule_code, faults.column_name, faults.level
            order by ordered.reading_number
        ) as run
    from faults
    inner join ordered
        on
            faults.hospcode = ordered.hospcode
            and faults.file = ordered.file
            and faults.delivery_id = ordered.delivery_id
),

runs as (
    select
        hospcode,
        file,
        rule_code,
        column_name,
        level,
        run,
        min(reading_number) as first_number,
        max(reading_number) as last_number
    from placed
    group by hospcode, file, rule_code, column_name, level, run
),

causes as (
    select
        hospcode,
        file,
        rule_code,
        column_name,
        level,
        count(*) as n_times_opened,
        min(first_number) as first_number,
        max(first_number) as opening_number,
        max(last_number) as last_number
    from runs
    group by hospcode, file, rule_code, column_name, level
),

readings_found as (
    select
        {{ surrogate_key([
            'causes.level', 'causes.rule_code', 'causes.hospcode', 'causes.file', 'causes.column_name',
        ]) }} as finding_key,
        'reading' as kind,
        causes.rule_code,
        {{ null_text() }} as axis,
        -- What was set aside counts nowhere; what was kept counts.
        case when causes.level = 'warning' then 'medium' else 'high' end as severity,
        causes.hospcode,
        case when causes.file <> '*' then causes.file end as file,
        nullif(causes.column_name, '') as column_name,
        {{ null_text() }} as record,
        {{ null_date() }} as event_date,
        last_found.delivery_id,
        cast(null as integer) as source_line,
        {{ null_text() }} as detail,
        last_found.n_rows,
        causes.n_times_opened,
        first_found.sent_at as first_opened_at,
        opening.sent_at as last_opened_at,
        opening.delivery_id as opening_delivery_id,
        next_read.sent_at as fixed_at,
        next_read.delivery_id as fixing_delivery_id
    from causes
    inner join placed as last_found
        on
            causes.hospcode = last_found.hospcode
            and causes.file = last_found.file
            and causes.rule_code = last_found.rule_code
            and causes.column_name = last_found.column_name
            and causes.level = last_found.level
            and causes.last_number = last_found.reading_number
    inner join ordered as first_found
        on
            causes.hospcode = first_found.hospcode
            and causes.file = first_found.file
            and causes.first_number = first_found.reading_number
    inner join ordered as opening
        on
            causes.hospcode = opening.hospcode
            and causes.file = opening.file
            and causes.opening_number = opening.reading_number
    left join ordered as next_read
        on
            causes.hospcode = next_read.hospcode
            and causes.file = next_read.file
            and causes.last_number + 1 = next_read.reading_number
),

found as (
    select * from rows_of_files
    union all
    select * from readings_found
),

newest_of_facilities as (
    select
        ordered.hospcode,
        ordered.delivery_id
    from ordered
    inner join lengths
        on
            ordered.hospcode = lengths.hospcode
            and ordered.file = lengths.file
            and ordered.reading_number = lengths.n_readings
    where ordered.file = '*'
)

select
    found.finding_key,
    found.kind,
    found.rule_code,
    found.axis,
    found.severity,
    found.hospcode,
    coalesce(facilities.province_code, '99') as province_code,
    found.file,
    found.column_name,
    found.record,
    found.event_date,
    case
        when found.fixed_at is not null then 'fixed'
        when found.n_times_opened > 1 then 'came_back'
        when found.opening_delivery_id = newest_of_facilities.delivery_id then 'opened'
        else 'still_open'
    end as state,
    case
        when found.fixing_delivery_id = newest_of_facilities.delivery_id then 'fixed'
        when found.fixed_at is null and found.opening_delivery_id = newest_of_facilities.delivery_id
            then case when found.n_times_opened > 1 then 'came_back' else 'opened' end
    end as newest_change,
    cast(found.n_times_opened as integer) as n_times_opened,
    found.first_opened_at,
    found.last_opened_at,
    found.fixed_at,
    found.fixing_delivery_id,
    found.delivery_id,
    found.source_line,
    found.detail,
    cast(found.n_rows as bigint) as n_rows
from found
left join newest_of_facilities on found.hospcode = newest_of_facilities.hospcode
left join {{ ref('dim_facilities') }} as facilities on found.hospcode = facilities.hospcode
