{#-
    Rules over examined rows. They stand in the meta of each `int_<rows>__examined`: `applies` says to which rows a rule
    applies (all, when it is left out), `breaks` which of those break it; a null is no fault.
-#}

{% macro examined_models() %}
    {%- do return([
        'int_admissions__examined', 'int_diagnoses__examined', 'int_drugs__examined', 'int_persons__examined',
        'int_referrals__examined', 'int_services__examined',
    ]) -%}
{% endmacro %}

{#- While the project is parsed, and in unit tests, there is no graph: one rule that nothing breaks stands in its place. -#}
{% macro rules_over(model_name) %}
    {%- if not execute or graph.nodes is not defined -%}
        {%- do return([{'code': 'none', 'axis': 'correct', 'severity': 'low', 'breaks': 'false'}]) -%}
    {%- endif -%}
    {%- for node in graph.nodes.values() if node.name == model_name and node.resource_type == 'model' -%}
        {%- do return(node.config.meta.rules) -%}
    {%- endfor -%}
    {%- do exceptions.raise_compiler_error(model_name ~ ' has no rules') -%}
{% endmacro %}

{% macro rule_applies(rule) -%}
    coalesce({{ rule.get('applies', 'true') }}, false)
{%- endmacro %}

{% macro rule_is_broken(rule) -%}
    coalesce(({{ rule.get('applies', 'true') }}) and ({{ rule.breaks }}), false)
{%- endmacro %}

{#-
    The rows of the CTE `rows`, with what the rules over `model` say of each: `checked_rules` and `broken_rules` have the bit
    of every rule that applies to it, and that it breaks. The rules are put here once, for all that count them; a model has
    room for 62.
-#}
{% macro examined_rows(model, rows) -%}
select
    *,
    cast(0 as bigint)
    {%- for rule in rules_over(model) %}
    + case when {{ rule_applies(rule) }} then {{ rule_bit(loop.index0) }} else 0 end
    {%- endfor %} as checked_rules,
    cast(0 as bigint)
    {%- for rule in rules_over(model) %}
    + case when {{ rule_is_broken(rule) }} then {{ rule_bit(loop.index0) }} else 0 end
    {%- endfor %} as broken_rules
from {{ rows }}
{%- endmacro %}

{#- Of the rule at that place among those over its model. -#}
{% macro rule_bit(index) -%}
    {{ 2 ** index }}
{%- endmacro %}

{% macro has_rule(rules, index) -%}
    ({{ rules }} & {{ rule_bit(index) }}) <> 0
{%- endmacro %}

{#-
    A row's own key within facility and file, to be read and to tell findings apart. Of all the columns that are the
    unique key of its staging model, but the facility: with fewer, two rows of a stay are one finding.
-#}
{% macro record_of(columns) -%}
    {%- for column in columns -%}
        coalesce({{ as_text(column) }}, ''){% if not loop.last %} || ' ' || {% endif %}
    {%- endfor -%}
{%- endmacro %}

{#- Every visit or stay, once, that lines of the file may belong to. -#}
{% macro cares_of_lines(file) -%}
    {%- if file.endswith('_OPD') -%}
    select
        hospcode,
        seq as care_number,
        date_serv as care_date
    from {{ ref('stg_f43__service') }}
    {%- else -%}
    select distinct
        hospcode,
        an as care_number,
        {{ date_of('datetime_admit') }} as care_date
    from {{ ref('stg_f43__admission') }}
    {%- endif -%}
{%- endmacro %}
