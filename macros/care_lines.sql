{#-
  The rows of `rows` (a CTE with hospcode and pid) with their person and the province of their facility. Who is in no
  register and in no visit is a person of their own, as everywhere, and unknown: dim_persons does not hold them.
-#}
{% macro with_person_and_place(rows) -%}
    select
        {{ rows }}.*,
        coalesce(persons.person_key, {{ key_of_own(rows ~ '.hospcode', rows ~ '.pid') }}) as person_key,
        coalesce(persons.wide_person_key, {{ key_of_own(rows ~ '.hospcode', rows ~ '.pid') }}) as wide_person_key,
        coalesce(persons.person_tier, 'C') as person_tier,
        persons.person_key is null as is_person_unknown,
        coalesce(facilities.province_code, '99') as treatment_province_code
    from {{ rows }}
    left join {{ ref('int_persons__identified') }} as persons
        on {{ rows }}.hospcode = persons.hospcode and {{ rows }}.pid = persons.pid
    left join {{ ref('int_facilities__classified') }} as facilities on {{ rows }}.hospcode = facilities.hospcode
{%- endmacro %}

{#- The key of somebody whom nothing but one register knows. -#}
{% macro key_of_own(hospcode, pid) -%}
    {{ surrogate_key(["'C'", hospcode, pid]) }}
{%- endmacro %}

{#-
  The newest row of `relation` for each `key`. The standard's keys of inpatient files hold the time of admission: a
  corrected time would leave a line twice; and one code may have been sent with and without its dot.
-#}
{% macro newest_by(relation, key) -%}
    select ranked.*
    from (
        select
            *,
            row_number() over (
                partition by {{ key | join(', ') }}
                order by d_update desc nulls last, delivery_id desc, source_line desc
            ) as recency
        from {{ relation }}
    ) as ranked
    where ranked.recency = 1
{%- endmacro %}

{#- The group of each right (INSTYPE) that `relation` holds. Few codes, many rows: the ranges are looked up once a code. -#}
{% macro groups_of_rights(relation) -%}
    select
        codes.instype,
        min(right_groups.group_code) as right_group
    from (select distinct instype from {{ relation }}) as codes
    inner join {{ ref('right_groups') }} as right_groups
        on length(codes.instype) = 4 and codes.instype between right_groups.code_from and right_groups.code_to
    group by codes.instype
{%- endmacro %}

{#- The key of a member of staff of a facility; null where a line names none. -#}
{% macro key_of_provider(hospcode, provider) -%}
    case when {{ provider }} <> '' then {{ surrogate_key([hospcode, provider]) }} end
{%- endmacro %}

{#- The department (2 digits) of a clinic's or ward's code; null when the code has not the standard's form. -#}
{% macro department_of_clinic(code) -%}
    case when {{ matches_pattern(code, "'^[01][0-9]{4}$'") }} then substr({{ code }}, 2, 2) end
{%- endmacro %}
