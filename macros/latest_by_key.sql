{#-
  Which landed rows a staging model reads: those of the batches that this build was given, or in a full refresh all.
-#}
{% macro in_new_batches() -%}
    {%- set new_batches = source('ruam', 'new_batches') -%}
    {%- if is_incremental() -%}
        batch in (select batch from {{ new_batches }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{#-
  The newest of the rows `rows` (a CTE) of a file of the standard by `key`: the newest d_update, then the delivery sent
  later, then the greater delivery id, then the later line. What the model already holds stays unless a row ranks above it, so that the
  order in which deliveries arrive makes no difference and a repeated build changes nothing. Only a known delivery
  that comes again under an earlier name lowers rows already kept: the build then refreshes in full.

  A row that its sender withdrew does not stand (`file` names the file of the standard; none for a file of ours, which
  no DATA_CORRECT can name). d_update ranks first, so that a withdrawal takes away the lowest ranks
  of its key: when the highest is among them, no row of the key is left.
-#}
{% macro latest_by_key(rows, file, key) -%}
    {%- set rank = ['d_update', 'sent_at', 'delivery_id', 'source_line'] -%}
    select ranked.*
    from (
        select
            {{ rows }}.*,
            deliveries.sent_at,
            row_number() over (
                partition by {{ key | join(', ') }}
                order by d_update desc nulls last, sent_at desc nulls last, {{ rows }}.delivery_id desc, source_line desc
            ) as recency
        from {{ rows }}
        inner join {{ ref('stg_ruam__deliveries') }} as deliveries on {{ rows }}.delivery_id = deliveries.delivery_id
    ) as ranked
    {%- if is_incremental() %}
    {#- The day of a row held is looked up for the few that meet a new one, not for all. #}
    left join {{ this }} as kept
        on {% for column in key %}ranked.{{ column }} = kept.{{ column }}{% if not loop.last %} and {% endif %}{% endfor %}
    left join {{ ref('stg_ruam__deliveries') }} as kept_deliveries on kept.delivery_id = kept_deliveries.delivery_id
    {%- endif %}
    {%- if file is not none %}
    left join ({{ withdrawn_keys(file, key) }}) as withdrawn
        on {% for column in key %}ranked.{{ column }} = withdrawn.{{ column }}{% if not loop.last %} and {% endif %}{% endfor %}
    {%- endif %}
    where
        ranked.recency = 1
    {%- if file is not none %}
        and (withdrawn.withdrawn_at is null or ranked.d_update > withdrawn.withdrawn_at)
    {%- endif %}
    {%- if is_incremental() %}
        and (kept.delivery_id is null or {{ ranks_above(rank) }})
    {%- endif %}
{%- endmacro %}

{#-
  True when a row of `ranked` ranks above that of `kept`, the first differing column deciding; a null ranks below all.
-#}
{% macro ranks_above(columns) -%}
    {%- set new = 'ranked.' ~ columns[0] -%}
    {%- set held = ('kept_deliveries.' if columns[0] == 'sent_at' else 'kept.') ~ columns[0] -%}
    ({{ new }} > {{ held }} or ({{ new }} is not null and {{ held }} is null)
    {%- if columns | length > 1 %} or (
        ({{ new }} = {{ held }} or ({{ new }} is null and {{ held }} is null))
        and {{ ranks_above(columns[1:]) }})
    {%- endif %})
{%- endmacro %}

{#- The keys of a file that were withdrawn, and up to which d_update (included). -#}
{% macro withdrawn_keys(file, key) -%}
    select
        {{ key | join(', ') }},
        max(d_update) as withdrawn_at
    from {{ ref('stg_f43__withdrawals') }}
    where file = '{{ file }}'
    group by {{ key | join(', ') }}
{%- endmacro %}

{#-
  Hook after each model of the 43 files in a build of changes: what it holds and a withdrawal has since reached, goes.
  In a full build `latest_by_key` has left those rows out.
-#}
{% macro delete_withdrawn() -%}
    {%- if is_incremental() and this.name != 'stg_f43__withdrawals' -%}
        {%- set key = config.get('unique_key') -%}
        {%- set file = this.name | replace('stg_f43__', '') | upper -%}
        {%- set columns = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
        {%- set withdrawn -%}
        from {{ this }} as held
        inner join ({{ withdrawn_keys(file, key) }}) as withdrawn
            on {% for column in key %}held.{{ column }} = withdrawn.{{ column }}{% if not loop.last %} and {% endif %}{% endfor %}
        where held.d_update is null or held.d_update <= withdrawn.withdrawn_at
        {%- endset -%}
        {{ delete_and_remember(this, columns, withdrawn) }}
    {%- endif -%}
{%- endmacro %}

{#- An ICD-10 code as it is compared: upper case, without the dot. -#}
{% macro bare_code(code) -%}
    upper(replace({{ code }}, '.', ''))
{%- endmacro %}
