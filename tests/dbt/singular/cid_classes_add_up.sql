-- Every person in a register has one class: each dimension of each level adds up to the registers.
with expected as (
    select count(*) as n_registrations
    from {{ ref('bridge_person_registrations') }}
    where is_registered
)

select
    classes.area_level,
    classes.dimension,
    sum(classes.n_registrations) as n_registrations
from {{ ref('agg_cid_classes') }} as classes
group by classes.area_level, classes.dimension
having sum(classes.n_registrations) <> (select n_registrations from expected)
