-- A visit that RED-01 flags is of a person who was at two facilities on that day with a diagnosis of the same 3
-- characters.
with groups as (
    select
        person_key,
        date_serv,
        condition_code
    from {{ ref('int_visits__qualified') }}
    where visit_class in ('OP', 'TELE') and person_tier = 'A' and condition_code is not null
    group by person_key, date_serv, condition_code
    having min(hospcode) <> max(hospcode)
)

select flagged.event_key
from {{ ref('msr_red_01') }} as flagged
inner join {{ ref('int_visits__qualified') }} as visits on flagged.event_key = visits.visit_key
left join groups
    on
        visits.person_key = groups.person_key
        and visits.date_serv = groups.date_serv
        and visits.condition_code = groups.condition_code
where flagged.variant = 'main' and flagged.is_numerator and groups.person_key is null
