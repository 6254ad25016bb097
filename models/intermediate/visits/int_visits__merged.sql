{%- set visit = merged_visit().split(', ') -%}

with ordered as (
    select
        visit_key,
        hospcode,
        pid,
        seq,
        date_serv,
        time_serv,
        person_key,
        wide_person_key,
        person_tier,
        visit_class,
        typein,
        typeout,
        is_in_hours,
        main_hospcode,
        sub_hospcode,
        treatment_province_code,
        principal_diagnosis,
        clinic_code,
        row_number() over (
            partition by {{ visit | join(', ') }}
            order by time_serv nulls last, seq
        ) as row_rank,
        sum(price) over (partition by {{ visit | join(', ') }}) as price,
        count(*) over (partition by {{ visit | join(', ') }}) as n_services
    from {{ of_affected(ref('int_visits__enriched')) }}
),

first_rows as (
    select * from ordered
    where row_rank = 1
),

-- Most visits are one row, whose diagnosis is at hand: only the others are ranked once more.
diagnosed as (
    select
        {{ visit | join(',\n        ') }},
        principal_diagnosis,
        clinic_code,
        row_number() over (partition by {{ visit | join(', ') }} order by row_rank) as diagnosis_rank
    from ordered
    where n_services > 1 and principal_diagnosis is not null
),

other_diagnoses as (
    select * from diagnosed
    where diagnosis_rank = 1
)

select
    first_rows.visit_key,
    first_rows.hospcode,
    first_rows.pid,
    first_rows.seq,
    first_rows.date_serv,
    first_rows.time_serv,
    first_rows.person_key,
    first_rows.wide_person_key,
    first_rows.person_tier,
    first_rows.visit_class,
    first_rows.typein,
    first_rows.typeout,
    first_rows.is_in_hours,
    first_rows.main_hospcode,
    first_rows.sub_hospcode,
    first_rows.treatment_province_code,
    coalesce(first_rows.principal_diagnosis, other_diagnoses.principal_diagnosis) as principal_diagnosis,
    case when first_rows.principal_diagnosis is null then other_diagnoses.clinic_code else first_rows.clinic_code end
        as clinic_code,
    cast(first_rows.price as decimal(18, 2)) as price,
    first_rows.n_services
from first_rows
left join other_diagnoses
    on
        {% for column in visit -%}
        first_rows.{{ column }} = other_diagnoses.{{ column }}{% if not loop.last %}
        and {% endif %}
        {%- endfor %}
{{ clustered_by('person_key') }}
