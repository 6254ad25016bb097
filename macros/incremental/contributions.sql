{#-
  Models that are sums, over persons, of what each adds to a cell (docs/decisions/0021). A build of changes adds what
  the persons whom it reaches add now and takes away what they added before. Before any row of theirs changes, that is
  kept in the schema `ruam` (`keep_contributions`), worked out by the macro that the model itself is made of, and their
  keys with it. The persons stay until the model has taken them in: a build that stops half-way keeps what stands in
  the model, and the next takes nothing of theirs anew.

  Such a macro takes `read`, by which it names what it reads (`ref`, or `made` for what the last build left), and
  `persons`, a relation of the keys to look at, none for all. Its sums are named in the model's `meta`; the others of its columns
  say which cell it is. No sum may be null, and one of them counts what the cell is made of.
-#}
{% macro contributions() -%}
    {{ return({
        'fct_measure_cells': {'of': measure_cells, 'reached_by': ['int_persons__affected', 'int_persons__watched']},
        'fct_measure_persons': {'of': measure_persons, 'reached_by': ['int_persons__affected', 'int_persons__watched']},
        'fct_utilization_cells': {'of': utilization_cells, 'reached_by': ['int_persons__affected']},
        'fct_facility_cells': {'of': facility_cells, 'reached_by': ['int_persons__affected']},
        'fct_flow_cells': {'of': flow_cells, 'reached_by': ['int_persons__affected']},
    }) }}
{%- endmacro %}

{#- The persons of whom a model by contribution is made in this build; none for all. -#}
{% macro contributors() -%}
    {%- if execute and this and is_incremental() and not is_made_whole() -%}
        {{ return(kept_persons(this.identifier)) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{#- The rows of `relation` that are of `persons`. -#}
{% macro of_persons(relation, persons) -%}
    {{ '(select * from ' ~ relation ~ ' where ' ~ of_units(['person_key'], persons) ~ ')' if persons else relation }}
{%- endmacro %}

{% macro kept_persons(model) -%}
    {{ return(ledger(model ~ '_persons')) }}
{%- endmacro %}

{% macro kept_contributions(model) -%}
    {{ return(ledger(model ~ '_before')) }}
{%- endmacro %}

{#- At the start of each run. A full build makes every model anew from all persons: nothing that was kept is of use. -#}
{% macro make_contributions() -%}
    {%- for model in contributions() if execute %}
    {%- if flags.FULL_REFRESH %}
    drop table if exists {{ kept_persons(model) }};
    drop table if exists {{ kept_contributions(model) }};
    {%- elif load_relation(made(model)) %}
    create table if not exists {{ kept_persons(model) }} (person_key varchar);
    create table if not exists {{ kept_contributions(model) }} as select * from {{ made(model) }} limit 0;
    {%- endif %}
    {%- endfor %}
{%- endmacro %}

{#- Hook after the model `reached`, which all that recomputes these persons reads and so waits for. -#}
{% macro keep_contributions(reached) -%}
    {%- for model, contribution in contributions().items()
        if execute and reached in contribution.reached_by and not flags.FULL_REFRESH and load_relation(made(model)) %}
    insert into {{ kept_contributions(model) }} by name
    with newcomers as (
        select person_key from {{ made(reached) }}
        except
        select person_key from {{ kept_persons(model) }}
    )
    select * from ({{ contribution.of(made, 'newcomers') }}) as contributions;
    insert into {{ kept_persons(model) }}
    select person_key from {{ made(reached) }}
    except
    select person_key from {{ kept_persons(model) }};
    {%- endfor %}
{%- endmacro %}

{% macro get_incremental_by_contribution_sql(arguments) -%}
    {%- set model = arguments.target_relation.identifier -%}
    {%- if is_made_whole() -%}
        {{ replace_all(arguments) }}
    {%- else -%}
        {{ merge_contributions(arguments, kept_contributions(model), config.get('meta').sums) }}
    {%- endif %}
    delete from {{ kept_contributions(model) }};
    delete from {{ kept_persons(model) }};
{%- endmacro %}

{#- A cell to which nobody adds any more is no row. -#}
{% macro merge_contributions(arguments, before, sums) -%}
    {%- set columns = arguments.dest_columns | map(attribute='name') | list -%}
    {%- set cell = columns | reject('in', sums) | list -%}
    merge into {{ arguments.target_relation }} as cells
    using (
        select
            {{ cell | join(', ') }},
            {%- for name in sums %}
            sum({{ name }}) as {{ name }}{% if not loop.last %},{% endif %}
            {%- endfor %}
        from (
            select {{ (cell + sums) | join(', ') }} from {{ arguments.temp_relation }}
            union all
            select {{ cell | join(', ') }}, -{{ sums | join(', -') }} from {{ before }}
        ) as added
        group by {{ cell | join(', ') }}
        having {% for name in sums %}sum({{ name }}) <> 0{% if not loop.last %} or {% endif %}{% endfor %}
    ) as changes
    on
        {%- for name in cell %}
        cells.{{ name }} is not distinct from changes.{{ name }}{% if not loop.last %} and {% endif %}
        {%- endfor %}
    when matched and {% for name in sums %}cells.{{ name }} + changes.{{ name }} = 0{% if not loop.last %} and {% endif %}{% endfor %}
        then delete
    when matched
        then update set {% for name in sums %}{{ name }} = cells.{{ name }} + changes.{{ name }}{% if not loop.last %}, {% endif %}{% endfor %}
    when not matched
        then insert ({{ columns | join(', ') }}) values ({{ prefixed(columns, 'changes') }});
{%- endmacro %}
