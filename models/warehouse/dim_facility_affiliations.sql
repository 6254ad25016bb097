select
    hospcode,
    affiliation_code,
    affiliation_group,
    valid_from,
    valid_to
from {{ ref('int_facilities__affiliated') }}
