select
    hospcode,
    pid,
    person_key,
    wide_person_key,
    person_tier,
    match_probability
from {{ source('identity', 'person_links') }}
