with stays as (
    select
        admission_key,
        person_key,
        hospcode,
        admitted_at,
        discharged_at,
        max({{ date_of('discharged_at') }}) over (
            partition by person_key
            order by admitted_at, hospcode, an
            rows between unbounded preceding and 1 preceding
        ) as covered_until,
        row_number() over (partition by person_key order by admitted_at, hospcode, an) as stay_number
    from {{ ref('int_admissions__enriched') }}
),

-- A transfer is admitted on the day of discharge or the day after.
numbered as (
    select
        *,
        sum(
            case
                when covered_until is null or {{ days_between('covered_until', date_of('admitted_at')) }} > 1 then 1
                else 0
            end
        ) over (partition by person_key order by stay_number rows unbounded preceding) as episode_number
    from stays
),

ranked as (
    select
        *,
        row_number() over (partition by person_key, episode_number order by stay_number) as first_rank,
        row_number() over (
            partition by person_key, episode_number
            order by discharged_at desc, stay_number desc
        ) as last_rank
    from numbered
)

select
    admission_key,
    first_value(admission_key) over (partition by person_key, episode_number order by stay_number) as episode_key,
    person_key,
    hospcode,
    admitted_at,
    discharged_at,
    first_rank = 1 as is_first_stay,
    last_rank = 1 as is_last_stay
from ranked
