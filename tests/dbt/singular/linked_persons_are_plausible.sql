-- Less than one linked person in a thousand has done what one person cannot (measures.md §5, test 3). So that a country
-- of a few hundred linked persons can be judged at all, three are let pass.
with linked as (
    select count(distinct person_key) as n_linked
    from {{ ref('int_persons__identified') }}
    where person_tier = 'B'
),

alarmed as (
    select count(distinct person_key) as n_alarmed
    from {{ ref('int_persons__alarmed') }}
    where is_linked
)

select
    alarmed.n_alarmed,
    linked.n_linked
from alarmed
cross join linked
where alarmed.n_alarmed > 3 and alarmed.n_alarmed > 0.001 * linked.n_linked
