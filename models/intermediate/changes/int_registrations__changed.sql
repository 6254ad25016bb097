{#- Made when all staging is, whether it is read here or not: the ledger is whole then. -#}
{%- set staged = [
    'stg_f16__adp_opd', 'stg_f43__accident', 'stg_f43__address', 'stg_f43__admission', 'stg_f43__appointment',
    'stg_f43__card', 'stg_f43__charge_ipd', 'stg_f43__charge_opd', 'stg_f43__chronic', 'stg_f43__death',
    'stg_f43__diagnosis_ipd', 'stg_f43__diagnosis_opd', 'stg_f43__drug_ipd', 'stg_f43__drug_opd', 'stg_f43__labfu',
    'stg_f43__procedure_ipd', 'stg_f43__procedure_opd', 'stg_f43__refer_history', 'stg_f43__refer_result',
    'stg_f43__service', 'stg_identity__person_links', 'int_facilities__claimed',
] -%}
{%- for model in staged -%}{%- do ref(model) -%}{%- endfor -%}

with changed as (
    select * from {{ ledger('changed_rows') }}
),

registered as (
    select * from {{ ref('stg_f43__person') }}
),

named as (
    select distinct
        hospcode,
        pid
    from changed
    where pid is not null
),

-- The class of a number is judged by all who bear it, and so is who they are.
numbers as (
    select cid_pseudonym
    from changed
    where cid_pseudonym is not null
    union distinct
    select registered.cid_pseudonym
    from registered
    inner join named on registered.hospcode = named.hospcode and registered.pid = named.pid
    where registered.cid_pseudonym is not null
)

select
    hospcode,
    pid
from named
union distinct
select
    registered.hospcode,
    registered.pid
from registered
inner join numbers on registered.cid_pseudonym = numbers.cid_pseudonym
