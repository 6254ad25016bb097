with visits as (
    select distinct
        hospcode,
        seq,
        date_serv
    from {{ ledger('changed_rows') }}
    where seq is not null and date_serv is not null
    {%- for file in ['service', 'diagnosis_opd', 'drug_opd', 'procedure_opd', 'charge_opd'] %}
    union distinct
    select
        lines.hospcode,
        lines.seq,
        lines.date_serv
    from {{ ref('stg_f43__' ~ file) }} as lines
    inner join {{ ref('int_registrations__affected') }} as affected
        on lines.hospcode = affected.hospcode and lines.pid = affected.pid
    {%- endfor %}
)

select
    hospcode,
    seq,
    date_serv,
    {{ surrogate_key(['hospcode', 'seq', 'date_serv']) }} as visit_key
from visits
