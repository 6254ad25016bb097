{#- A column of the person's next episode, in a select from rows of int_episodes__summarized: null where there is none. -#}
{% macro next_of_episode(column) -%}
    lead({{ column }}) over (partition by linkage, person_key order by started_at, episode_key)
{%- endmacro %}
