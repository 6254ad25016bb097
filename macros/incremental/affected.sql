{#-
  The rows of `relation` that a build must look at: all of them in a full build; in an incremental one those of the
  units that something changed for since the last good build (docs/decisions/0021). The units, and what each needs:

    person        person_key                   everything of a person whom a change reaches
    watched       person_key                   these, and people whose events the data's last day has since reached
    registration  hospcode, pid                the registrations of these persons
    visit         hospcode, seq, date_serv     the visits that one of these registrations has a row of
    stay          hospcode, an                 the stays, likewise
    admission     admission_key                the same stays
    changed       hospcode, pid                registrations of which a row changed, and all that share their number

  A filter only saves work: what a strategy below takes in is of its own units, whatever the model gives.
-#}
{% macro of_affected(relation, unit='person') -%}
    {%- set units = affected_keys(unit) -%}
    {%- if units -%}
        (select * from {{ kept_beside(relation, unit) or relation }} where {{ of_units(units_of_changes()[unit].key, units) }})
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}

{#- The relation of these units in a build of changes; none where all rows are to be looked at. -#}
{% macro affected_keys(unit) -%}
    {%- set model = units_of_changes()[unit].model -%}
    {%- if not execute -%}
        {#- Named while parsing alone: a unit test, which has no `this`, would ask for its rows. -#}
        {%- do ref(model) -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(ref(model) if this and is_incremental() and not is_made_whole() else none) }}
{%- endmacro %}

{% macro units_of_changes() -%}
    {{ return({
        'person': {'model': 'int_persons__affected', 'key': ['person_key']},
        'watched': {'model': 'int_persons__watched', 'key': ['person_key']},
        'registration': {'model': 'int_registrations__affected', 'key': ['hospcode', 'pid']},
        'visit': {'model': 'int_visits__affected', 'key': ['hospcode', 'seq', 'date_serv']},
        'stay': {'model': 'int_stays__affected', 'key': ['hospcode', 'an']},
        'admission': {'model': 'int_stays__affected', 'key': ['admission_key']},
        'changed': {'model': 'int_registrations__changed', 'key': ['hospcode', 'pid']},
    }) }}
{%- endmacro %}

{#-
  DuckDB looks for a few keys while it scans, and reads nothing else of the other rows (a Bloom filter), where they are of
  one column and the relation of them is itself filtered: no key is an empty text.
-#}
{% macro of_units(key, relation) -%}
    ({{ key | join(', ') }}) in (
        select {{ key | join(', ') }} from {{ relation }}{% if key | length == 1 %} where {{ key[0] }} > ''{% endif %}
    )
{%- endmacro %}

{#-
  Whether an incremental build makes this model whole anew: when a date on which all of its rows depend (see
  `whole_when_moves`) is another than in the last good build.
-#}
{% macro is_made_whole() -%}
    {%- set columns = config.get('meta', {}).get('whole_when_moves') -%}
    {%- if not columns -%}{{ return(false) }}{%- endif -%}
    {%- set counts = 'count(distinct ' ~ columns | join('), count(distinct ') ~ ')' -%}
    {%- set found = run_query('select ' ~ counts ~ ' from ' ~ made('int_data__bounded')) -%}
    {{ return(found.rows[0].values() | map('int') | max > 1) }}
{%- endmacro %}

{#- In a model all of whose rows depend on the given columns of int_data__bounded. -#}
{% macro whole_when_moves() -%}
    {{ config(meta={'whole_when_moves': varargs | list}) }}
    {%- if not execute -%}{%- do ref('int_data__bounded') -%}{%- endif -%}
{%- endmacro %}

{#- A model's relation by name, where a strategy needs one that the model itself does not read. -#}
{% macro made(model) -%}
    {{ return(api.Relation.create(database=target.database, schema=target.schema, identifier=model)) }}
{%- endmacro %}
