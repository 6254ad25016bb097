{{ config(materialized='incremental', incremental_strategy='by_person') }}

{%- set groups = {
    'antihypertensive': 'CS_CLASS_ANTIHYPERTENSIVE',
    'lipid': 'CS_CLASS_LIPID',
    'glucose': 'CS_CLASS_GLUCOSE',
    'antipsychotic': 'CS_CLASS_ANTIPSYCHOTIC',
    'antidepressant': 'CS_CLASS_ANTIDEPRESSANT',
    'sedative': 'CS_CLASS_SEDATIVE',
    'acid': 'CS_CLASS_ACID',
    'nsaid': 'CS_NSAID',
} -%}
{%- set grace = measure_parameter('RED-07', 'grace_days') -%}
{%- set cross_taper = measure_parameter('RED-07', 'cross_taper_days') -%}
with covered as (
    select * from {{ of_affected(ref('int_dispensings__covered')) }}
    where setting = 'opd'
),

monitored as (
    {{ named_codes('covered', 'substance', groups, 'class_group') }}
),

dispensings as (
    select
        covered.*,
        monitored.class_group,
        substr(covered.substance, 1, 5) as class_code,
        {{ quarter_start('covered.dispensed_date') }} as quarter_start
    from covered
    inner join monitored on covered.substance = monitored.substance
),

-- Few substances: which two of a class are too much together is settled once.
substances as (
    select distinct
        class_code,
        substance
    from dispensings
),

accepted as (
    select distinct
        firsts.substance as substance,
        seconds.substance as other_substance
    from substances as firsts
    inner join substances as seconds on firsts.class_code = seconds.class_code
    inner join {{ ref('accepted_combinations') }} as combinations
        on
            (
                {{ matches_pattern('firsts.substance', 'combinations.first_pattern') }}
                and {{ matches_pattern('seconds.substance', 'combinations.second_pattern') }}
            )
            or (
                {{ matches_pattern('firsts.substance', 'combinations.second_pattern') }}
                and {{ matches_pattern('seconds.substance', 'combinations.first_pattern') }}
            )
),

held as (
    select distinct
        person_key,
        class_code,
        substance
    from dispensings
),

pairs as (
    select
        own.person_key,
        own.substance,
        others.substance as other_substance
    from held as own
    inner join held as others
        on own.person_key = others.person_key and own.class_code = others.class_code
    left join accepted on own.substance = accepted.substance and others.substance = accepted.other_substance
    where own.substance <> others.substance and accepted.substance is null
),

-- A class has few substances, so a dispensing meets few others; of each, the furthest cover dispensed before counts.
lined as (
    select
        dispensings.dispensing_key,
        pairs.person_key,
        pairs.substance,
        pairs.other_substance,
        dispensings.dispensed_date,
        dispensings.time_serv,
        dispensings.hospcode,
        dispensings.dispensing_key as order_key,
        {{ null_date() }} as other_cover_end
    from pairs
    inner join dispensings on pairs.person_key = dispensings.person_key and pairs.substance = dispensings.substance
    union all
    select
        {{ null_text() }} as dispensing_key,
        pairs.person_key,
        pairs.substance,
        pairs.other_substance,
        dispensings.dispensed_date,
        dispensings.time_serv,
        dispensings.hospcode,
        dispensings.dispensing_key as order_key,
        dispensings.cover_end as other_cover_end
    from pairs
    inner join dispensings
        on pairs.person_key = dispensings.person_key and pairs.other_substance = dispensings.substance
),

framed as (
    select
        dispensing_key,
        max(other_cover_end) over (
            partition by person_key, substance, other_substance
            order by dispensed_date, time_serv nulls last, hospcode, order_key
            rows between unbounded preceding and 1 preceding
        ) as other_cover_end
    from lined
),

others as (
    select
        dispensing_key,
        max(other_cover_end) as other_cover_end
    from framed
    where dispensing_key is not null
    group by dispensing_key
),

judged as (
    select
        dispensings.person_key,
        dispensings.quarter_start,
        dispensings.class_group,
        dispensings.price,
        coalesce(
            {{ overlap_days('dispensings.dispensed_date', 'dispensings.cover_end', 'others.other_cover_end') }}
            > case
                when dispensings.class_group in ('antipsychotic', 'antidepressant', 'sedative') then {{ cross_taper }}
                else {{ grace }}
            end,
            false
        ) as is_duplicate
    from dispensings
    left join others on dispensings.dispensing_key = others.dispensing_key
),

quarters as (
    {%- for variant, column in {'main': "'main'", 'group': 'class_group'}.items() %}
    select
        {{ column }} as variant,
        person_key,
        quarter_start,
        max(case when is_duplicate then 1 else 0 end) = 1 as is_numerator,
        sum(price) as price
    from judged
    group by {% if variant == 'group' %}class_group, {% endif %}person_key, quarter_start
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

{{ person_period_events('RED-07', 'quarters', 'quarter_start', 'quarters.variant') }}
