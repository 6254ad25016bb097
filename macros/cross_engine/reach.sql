{#-
  A CTE `name` of the keys (person_key) that the CTE `ties` (person_key, other_key) reaches from those of `seeds`, in
  however many steps; to stand last in a `with recursive`.
-#}
{% macro reached_by_ties(name, seeds, ties) -%}
    {{ adapter.dispatch('reached_by_ties', 'ruam')(name, seeds, ties) }}
{%- endmacro %}

{% macro default__reached_by_ties(name, seeds, ties) -%}
{{ name }} as (
    select person_key from {{ seeds }}
    union distinct
    select {{ ties }}.other_key as person_key
    from {{ name }}
    inner join {{ ties }} on {{ name }}.person_key = {{ ties }}.person_key
)
{%- endmacro %}

{#-
  Spark's recursion has no `union distinct`, so that ties in a circle would never end. Its builds are full, and in a
  full one nobody is affected: the seeds, of which there are none, are all.
-#}
{% macro spark__reached_by_ties(name, seeds, ties) -%}
{{ name }} as (
    select distinct person_key from {{ seeds }}
)
{%- endmacro %}
