select
    hospcode,
    pid,
    person_key,
    wide_person_key,
    person_tier,
    cid_class,
    nationality_group,
    is_registered
from {{ ref('int_persons__identified') }}
