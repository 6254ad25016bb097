{#- Date arithmetic that engines read differently. -#}

{% macro date_literal(text) -%}
    cast('{{ text }}' as date)
{%- endmacro %}

{% macro date_of(timestamp) -%}
    cast({{ timestamp }} as date)
{%- endmacro %}

{#- No date, with the type of a date. -#}
{% macro null_date() -%}
    cast(null as date)
{%- endmacro %}

{#- A date from text, YYYY-MM-DD. -#}
{% macro as_date(text) -%}
    cast({{ text }} as date)
{%- endmacro %}

{#- Whole days from `earlier` to `later`. -#}
{% macro days_between(earlier, later) -%}
    {{ adapter.dispatch('days_between', 'ruam')(earlier, later) }}
{%- endmacro %}

{% macro default__days_between(earlier, later) -%}
    cast(date_diff('day', {{ earlier }}, {{ later }}) as integer)
{%- endmacro %}

{% macro spark__days_between(earlier, later) -%}
    date_diff(cast({{ later }} as date), cast({{ earlier }} as date))
{%- endmacro %}

{#- Days since 1970-01-01, for windows over a range of days. -#}
{% macro day_number(date) -%}
    {{ days_between("cast('1970-01-01' as date)", date) }}
{%- endmacro %}

{% macro month_start(date) -%}
    {{ adapter.dispatch('month_start', 'ruam')(date) }}
{%- endmacro %}

{% macro default__month_start(date) -%}
    cast(date_trunc('month', {{ date }}) as date)
{%- endmacro %}

{% macro spark__month_start(date) -%}
    trunc(cast({{ date }} as date), 'MM')
{%- endmacro %}

{% macro add_months(date, n) -%}
    {{ adapter.dispatch('add_months', 'ruam')(date, n) }}
{%- endmacro %}

{% macro default__add_months(date, n) -%}
    cast({{ date }} + to_months(cast({{ n }} as integer)) as date)
{%- endmacro %}

{% macro spark__add_months(date, n) -%}
    add_months(cast({{ date }} as date), cast({{ n }} as integer))
{%- endmacro %}

{% macro add_days(date, n) -%}
    {{ adapter.dispatch('add_days', 'ruam')(date, n) }}
{%- endmacro %}

{% macro default__add_days(date, n) -%}
    cast({{ date }} + to_days(cast({{ n }} as integer)) as date)
{%- endmacro %}

{% macro spark__add_days(date, n) -%}
    date_add(cast({{ date }} as date), cast({{ n }} as integer))
{%- endmacro %}

{#- First day of the calendar quarter, which is one of the fiscal year too. -#}
{% macro quarter_start(date) -%}
    {{ add_months(month_start(date), '-((month(' ~ date ~ ') - 1) % 3)') }}
{%- endmacro %}

{#- A relation with one column `calendar_date`, both ends included. -#}
{% macro date_spine(first, last) -%}
    {{ adapter.dispatch('date_spine', 'ruam')(first, last) }}
{%- endmacro %}

{% macro default__date_spine(first, last) -%}
    select cast(unnest(generate_series({{ date_literal(first) }}, {{ date_literal(last) }}, interval 1 day)) as date) as calendar_date
{%- endmacro %}

{% macro spark__date_spine(first, last) -%}
    select explode(sequence({{ date_literal(first) }}, {{ date_literal(last) }}, interval 1 day)) as calendar_date
{%- endmacro %}

{#- The moment of the build, UTC without a zone (sessions run in UTC). -#}
{% macro utc_now() -%}
    cast(current_timestamp as timestamp)
{%- endmacro %}
