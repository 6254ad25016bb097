{#- Each list of codes: the rows that should bear one of its codes, and when the code is known. -#}
{%- set lists = {
    'diagnosis': {'fact': 'fct_diagnoses', 'code': 'diagnosis_code', 'dimension': 'dim_diseases', 'known': 'is_known'},
    'drug': {'fact': 'fct_dispensings', 'code': 'drug_code', 'dimension': 'dim_drugs', 'known': 'is_mapped'},
    'procedure': {'fact': 'fct_procedures', 'code': 'procedure_code', 'dimension': 'dim_procedures', 'known': 'is_known'},
    'laboratory_test': {'fact': 'fct_lab_results', 'code': 'lab_code', 'known': 'test_group is not null'},
    'clinic': {'fact': 'fct_diagnoses', 'code': 'clinic_code', 'dimension': 'dim_clinics', 'known': 'is_known'},
    'right': {'fact': 'fct_charges', 'code': 'instype', 'known': "right_group <> 'unknown'"},
    'provider': {'fact': 'fct_dispensings', 'code': 'provider_key', 'dimension': 'dim_providers', 'known': 'is_known'},
} -%}

with coded as (
    {%- for list, source in lists.items() %}
    select
        '{{ list }}' as code_list,
        facts.hospcode,
        facts.{{ source.code }} as code,
        {%- if source.dimension is defined %}
        coalesce(known.{{ source.known }}, false) as is_known,
        facts.n_rows
        {%- else %}
        facts.is_known,
        facts.n_rows
        {%- endif %}
    from (
        select
            hospcode,
            {{ source.code }},
            {%- if source.dimension is not defined %}
            {{ source.known }} as is_known,
            {%- endif %}
            count(*) as n_rows
        from {{ ref(source.fact) }}
        group by hospcode, {{ source.code }}{% if source.dimension is not defined %}, {{ source.known }}{% endif %}
    ) as facts
    {%- if source.dimension is defined %}
    left join {{ ref(source.dimension) }} as known on facts.{{ source.code }} = known.{{ source.code }}
    {%- endif %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

placed as (
    select
        coded.*,
        coalesce(facilities.province_code, '99') as province_code
    from coded
    left join {{ ref('dim_facilities') }} as facilities on coded.hospcode = facilities.hospcode
),

areas as (
    select * from {{ ref('bridge_provinces_areas') }}
)

select
    placed.code_list,
    areas.area_level,
    areas.area_code,
    cast(sum(placed.n_rows) as bigint) as n_rows,
    cast(sum(case when placed.is_known then 0 else placed.n_rows end) as bigint) as n_unknown_rows,
    cast(count(distinct case when not placed.is_known then placed.code end) as bigint) as n_unknown_codes
from placed
inner join areas on placed.province_code = areas.province_code
group by placed.code_list, areas.area_level, areas.area_code
