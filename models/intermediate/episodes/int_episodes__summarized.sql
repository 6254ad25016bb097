with stays as (
    select
        merged.episode_key,
        merged.stay_number = 1 as is_first_stay,
        row_number() over (
            partition by merged.episode_key
            order by admissions.discharged_at desc, merged.stay_number desc
        ) = 1 as is_last_stay,
        admissions.person_key,
        admissions.wide_person_key,
        admissions.hospcode,
        admissions.admitted_at,
        admissions.discharged_at,
        admissions.person_tier,
        admissions.typein,
        admissions.discharge_type,
        admissions.discharge_status,
        admissions.principal_diagnosis,
        admissions.treatment_province_code,
        admissions.price
    from {{ ref('int_admissions__merged_to_episodes') }} as merged
    inner join {{ of_affected(ref('int_admissions__enriched')) }} as admissions
        on merged.admission_key = admissions.admission_key
),

episodes as (
    select
        episode_key,
        person_key,
        min(case when is_first_stay then wide_person_key end) as wide_person_key,
        min(person_tier) as person_tier,
        min(admitted_at) as started_at,
        max(discharged_at) as ended_at,
        min(case when is_first_stay then hospcode end) as first_hospcode,
        min(case when is_first_stay then typein end) as first_typein,
        min(case when is_first_stay then principal_diagnosis end) as first_principal_diagnosis,
        min(case when is_last_stay then hospcode end) as last_hospcode,
        min(case when is_last_stay then treatment_province_code end) as last_province_code,
        min(case when is_last_stay then discharge_type end) as last_discharge_type,
        min(case when is_last_stay then discharge_status end) as last_discharge_status,
        count(*) as n_stays,
        sum(price) as price
    from stays
    group by episode_key, person_key
),

-- Merging what is merged by the key of the lower threshold gives what merging its stays would.
chained as (
    select
        *,
        max({{ date_of('ended_at') }}) over (
            partition by wide_person_key
            order by started_at, episode_key
            rows between unbounded preceding and 1 preceding
        ) as covered_until
    from episodes
),

numbered as (
    select
        *,
        sum(
            case
                when covered_until is null or {{ days_between('covered_until', date_of('started_at')) }} > 1 then 1
                else 0
            end
        ) over (
            partition by wide_person_key
            order by started_at, episode_key
            rows unbounded preceding
        ) as wide_number
    from chained
),

ranked as (
    select
        *,
        row_number() over (partition by wide_person_key, wide_number order by started_at, episode_key) as first_rank,
        row_number() over (
            partition by wide_person_key, wide_number
            order by ended_at desc, started_at desc, episode_key desc
        ) as last_rank
    from numbered
),

wide_episodes as (
    select
        min(case when first_rank = 1 then episode_key end) as episode_key,
        wide_person_key as person_key,
        min(person_tier) as person_tier,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        min(case when first_rank = 1 then first_hospcode end) as first_hospcode,
        min(case when first_rank = 1 then first_typein end) as first_typein,
        min(case when first_rank = 1 then first_principal_diagnosis end) as first_principal_diagnosis,
        min(case when last_rank = 1 then last_hospcode end) as last_hospcode,
        min(case when last_rank = 1 then last_province_code end) as last_province_code,
        min(case when last_rank = 1 then last_discharge_type end) as last_discharge_type,
        min(case when last_rank = 1 then last_discharge_status end) as last_discharge_status,
        sum(n_stays) as n_stays,
        sum(price) as price
    from ranked
    group by wide_person_key, wide_number
)

{% for linkage, relation in {'main': 'episodes', 'wide': 'wide_episodes'}.items() -%}
select
    '{{ linkage }}' as linkage,
    episode_key,
    person_key,
    person_tier,
    started_at,
    ended_at,
    first_hospcode,
    first_typein,
    first_principal_diagnosis,
    last_hospcode,
    last_province_code,
    last_discharge_type,
    last_discharge_status,
    cast(n_stays as integer) as n_stays,
    cast(price as decimal(18, 2)) as price
from {{ relation }}
{% if not loop.last %}union all
{% endif %}
{%- endfor %}
