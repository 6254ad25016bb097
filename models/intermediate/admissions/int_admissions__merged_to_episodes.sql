-- One order of each person's stays and one look back each, never pairs of stays: a number borne by thousands costs no
-- more than as many people. Days decide, not hours: a transfer is a stay that begins on the day of discharge or the
-- next.
with stays as (
    select
        admission_key,
        hospcode,
        an,
        person_key,
        -- Who cannot be followed between facilities has episodes within one.
        case when person_tier in ('A', 'B') then '' else hospcode end as followed_within,
        admitted_at,
        discharged_at,
        {{ date_of('admitted_at') }} as admitted_date,
        {{ date_of('discharged_at') }} as discharged_date
    from {{ of_affected(ref('int_admissions__enriched')) }}
),

compared as (
    select
        *,
        max(discharged_date) over (
            partition by person_key, followed_within
            order by admitted_at, discharged_at, hospcode, an
            rows between unbounded preceding and 1 preceding
        ) as discharged_before
    from stays
),

numbered as (
    select
        *,
        sum(case when admitted_date <= {{ add_days('discharged_before', 1) }} then 0 else 1 end) over (
            partition by person_key, followed_within
            order by admitted_at, discharged_at, hospcode, an
            rows between unbounded preceding and current row
        ) as episode_number
    from compared
)

select
    admission_key,
    person_key,
    first_value(admission_key) over of_episode as episode_key,
    cast(row_number() over of_episode as integer) as stay_number
from numbered
window of_episode as (
    partition by person_key, followed_within, episode_number
    order by admitted_at, discharged_at, hospcode, an
)
