select
    identified.hospcode,
    identified.pid
from {{ ref('int_persons__identified') }} as identified
inner join {{ ref('int_persons__affected') }} as affected on identified.person_key = affected.person_key
union distinct
select
    hospcode,
    pid
from {{ ref('int_registrations__reached') }}
