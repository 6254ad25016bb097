with stays as (
    select distinct
        hospcode,
        an
    from {{ ledger('changed_rows') }}
    where an is not null
    {%- for file in ['admission', 'diagnosis_ipd', 'drug_ipd', 'procedure_ipd', 'charge_ipd'] %}
    union distinct
    select
        lines.hospcode,
        lines.an
    from {{ ref('stg_f43__' ~ file) }} as lines
    inner join {{ ref('int_registrations__affected') }} as affected
        on lines.hospcode = affected.hospcode and lines.pid = affected.pid
    {%- endfor %}
)

select
    hospcode,
    an,
    {{ surrogate_key(['hospcode', 'an']) }} as admission_key
from stays
