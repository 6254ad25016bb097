with all_stays as (
    select
        merged.episode_key,
        merged.stay_number,
        admissions.admission_key,
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

planned_codes as (
    {{ codes_of_set('all_stays', 'principal_diagnosis', 'readmission_planned') }}
),

stays as (
    select
        all_stays.*,
        all_stays.stay_number = 1 as is_first_stay,
        row_number() over (
            partition by all_stays.episode_key
            order by all_stays.discharged_at desc, all_stays.stay_number desc
        ) = 1 as is_last_stay,
        case
            when coalesce(all_stays.typein, '') = '2' or planned_codes.principal_diagnosis is not null then 1 else 0
        end as is_planned
    from all_stays
    left join planned_codes on all_stays.principal_diagnosis = planned_codes.principal_diagnosis
),

episodes as (
    select
        episode_key,
        person_key,
        min(case when is_first_stay then wide_person_key end) as wide_person_key,
        min(person_tier) as person_tier,
        min(admitted_at) as started_at,
        max(discharged_at) as ended_at,
        min(is_planned) as is_planned,
        min(case when is_first_stay then hospcode end) as first_hospcode,
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
of_wide_key as (
    select
        'wide' as linkage,
        wide_person_key as person,
        episodes.*
    from episodes
),

-- Stays under the person's own valid number alone, as if nobody had been linked.
of_number as (
    select
        'number' as linkage,
        person_key as person,
        admission_key as episode_key,
        person_key,
        wide_person_key,
        person_tier,
        admitted_at as started_at,
        discharged_at as ended_at,
        is_planned,
        hospcode as first_hospcode,
        principal_diagnosis as first_principal_diagnosis,
        hospcode as last_hospcode,
        treatment_province_code as last_province_code,
        discharge_type as last_discharge_type,
        discharge_status as last_discharge_status,
        1 as n_stays,
        price
    from stays
    where person_tier = 'A'
),

parts as (
    select * from of_wide_key
    union all
    select * from of_number
),

chained as (
    select
        *,
        max({{ date_of('ended_at') }}) over (
            partition by linkage, person
            order by started_at, episode_key
            rows between unbounded preceding and 1 preceding
        ) as covered_until
    from parts
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
            partition by linkage, person
            order by started_at, episode_key
            rows unbounded preceding
        ) as episode_number
    from chained
),

ranked as (
    select
        *,
        row_number() over (partition by linkage, person, episode_number order by started_at, episode_key) as first_rank,
        row_number() over (
            partition by linkage, person, episode_number
            order by ended_at desc, started_at desc, episode_key desc
        ) as last_rank
    from numbered
),

rechained as (
    select
        linkage,
        min(case when first_rank = 1 then episode_key end) as episode_key,
        person as person_key,
        min(person_tier) as person_tier,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        min(is_planned) as is_planned,
        min(case when first_rank = 1 then first_hospcode end) as first_hospcode,
        min(case when first_rank = 1 then first_principal_diagnosis end) as first_principal_diagnosis,
        min(case when last_rank = 1 then last_hospcode end) as last_hospcode,
        min(case when last_rank = 1 then last_province_code end) as last_province_code,
        min(case when last_rank = 1 then last_discharge_type end) as last_discharge_type,
        min(case when last_rank = 1 then last_discharge_status end) as last_discharge_status,
        sum(n_stays) as n_stays,
        sum(price) as price
    from ranked
    group by linkage, person, episode_number
)

{% for linkage, relation in {"'main'": 'episodes', 'linkage': 'rechained'}.items() -%}
select
    {{ linkage }} as linkage,
    episode_key,
    person_key,
    person_tier,
    started_at,
    ended_at,
    is_planned = 1 as is_planned,
    first_hospcode,
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
