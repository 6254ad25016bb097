{#- A line bears the person of its visit or stay, and its own when there is none: what comes or goes there moves it. -#}
{%- set of_visits = {
    'service': 'lines.date_serv', 'diagnosis_opd': 'lines.date_serv', 'drug_opd': 'lines.date_serv', 'procedure_opd': 'lines.date_serv',
    'charge_opd': 'lines.date_serv', 'appointment': 'lines.date_serv', 'accident': date_of('lines.datetime_serv'),
    'labfu': 'lines.date_serv', 'refer_history': date_of('lines.datetime_serv'),
} -%}
{%- set of_stays = ['admission', 'diagnosis_ipd', 'drug_ipd', 'procedure_ipd', 'charge_ipd'] -%}

with changed as (
    select * from {{ ledger('changed_rows') }}
),

visits as (
    select distinct
        hospcode,
        seq,
        date_serv
    from changed
    where seq is not null and date_serv is not null
),

stays as (
    select distinct
        hospcode,
        an
    from changed
    where an is not null
),

referrals as (
    select distinct
        hospcode,
        referid
    from changed
    where referid is not null
),

visits_of_stays as (
    select distinct
        hospcode,
        seq
    from changed
    where an is not null and seq is not null
),

claim_months as (
    select distinct
        hospcode,
        claim_month
    from changed
    where claim_month is not null
)

select
    hospcode,
    pid
from {{ ref('int_registrations__changed') }}
{%- for file, date_serv in of_visits.items() %}
union distinct
select
    lines.hospcode,
    lines.pid
from {{ ref('stg_f43__' ~ file) }} as lines
inner join visits
    on lines.hospcode = visits.hospcode and lines.seq = visits.seq and {{ date_serv }} = visits.date_serv
{%- endfor %}
{%- for file in of_stays %}
union distinct
select
    lines.hospcode,
    lines.pid
from {{ ref('stg_f43__' ~ file) }} as lines
inner join stays on lines.hospcode = stays.hospcode and lines.an = stays.an
{%- endfor %}
union distinct
select
    letters.hospcode,
    letters.pid
from {{ ref('stg_f43__refer_history') }} as letters
inner join referrals on letters.hospcode = referrals.hospcode and letters.referid = referrals.referid
-- A stay names its visit by SEQ alone.
union distinct
select
    services.hospcode,
    services.pid
from {{ ref('stg_f43__service') }} as services
inner join visits_of_stays on services.hospcode = visits_of_stays.hospcode and services.seq = visits_of_stays.seq
-- Whether claims are known at all is a fact of a facility's month.
union distinct
select
    services.hospcode,
    services.pid
from {{ ref('stg_f43__service') }} as services
inner join claim_months
    on
        services.hospcode = claim_months.hospcode
        and {{ month_start('services.date_serv') }} = claim_months.claim_month
