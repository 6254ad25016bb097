{#- Arithmetic that engines read differently. -#}

{#- `dividend` over `divisor`, rounded up to a whole number; a millionth above one is that one. Null when either is. -#}
{% macro quotient_rounded_up(dividend, divisor) -%}
    {{ adapter.dispatch('quotient_rounded_up', 'ruam')(dividend, divisor) }}
{%- endmacro %}

{% macro default__quotient_rounded_up(dividend, divisor) -%}
    try_cast(ceil(round({{ dividend }} / nullif({{ divisor }}, 0), 6)) as integer)
{%- endmacro %}

{% macro spark__quotient_rounded_up(dividend, divisor) -%}
    try_cast(ceil(round({{ ratio(dividend, divisor) }}, 6)) as integer)
{%- endmacro %}

{#- The amount of a line in baht; null when a factor is, or when no amount can be so large. -#}
{% macro line_amount(quantity, per_unit) -%}
    try_cast({{ quantity }} * {{ per_unit }} as decimal(18, 4))
{%- endmacro %}

{#- A double; null when the divisor is 0. -#}
{% macro ratio(dividend, divisor) -%}
    (cast({{ dividend }} as double) / nullif(cast({{ divisor }} as double), 0))
{%- endmacro %}

{#-
  The value below which a share of a group lies, between two values as the distance tells, to the `digits` digits that
  the values bear; null when there is none. Counted in units of the last digit quarters of a distance are exact, so that
  both engines find a half where there is one, and round it away from zero.
-#}
{% macro quantile_of(value, share, digits) -%}
    (round({{ adapter.dispatch('quantile', 'ruam')('round(' ~ value ~ ' * 1e' ~ digits ~ ')', share) }}) / 1e{{ digits }})
{%- endmacro %}

{% macro default__quantile(value, share) -%}
    quantile_cont({{ value }}, {{ share }})
{%- endmacro %}

{% macro spark__quantile(value, share) -%}
    percentile({{ value }}, {{ share }})
{%- endmacro %}

{#- A whole number, not negative, to the nearest multiple of `base`. -#}
{% macro to_nearest(number, base) -%}
    {{ adapter.dispatch('to_nearest', 'ruam')(number, base) }}
{%- endmacro %}

{% macro default__to_nearest(number, base) -%}
    (({{ number }} + {{ base // 2 }}) // {{ base }} * {{ base }})
{%- endmacro %}

{% macro spark__to_nearest(number, base) -%}
    (({{ number }} + {{ base // 2 }}) div {{ base }} * {{ base }})
{%- endmacro %}

{#- The mean of a group, or of a window's frame; a double. Of decimals, Spark's own is one with few digits. -#}
{% macro mean_of(value) -%}
    {{ adapter.dispatch('mean_of', 'ruam')(value) }}
{%- endmacro %}

{% macro default__mean_of(value) -%}
    avg({{ value }})
{%- endmacro %}

{% macro spark__mean_of(value) -%}
    avg(cast({{ value }} as double))
{%- endmacro %}

{#- The median of a group, or of a window's frame; a double of whole numbers. -#}
{% macro median_of(value) -%}
    {{ adapter.dispatch('median_of', 'ruam')(value) }}
{%- endmacro %}

{% macro default__median_of(value) -%}
    median({{ value }})
{%- endmacro %}

{#- Spark's `median` takes no frame. -#}
{% macro spark__median_of(value) -%}
    percentile({{ value }}, 0.5)
{%- endmacro %}

{#-
  A double to `digits` digits behind the point, halves away from zero. Spark rounds the shortest text of the number, so
  that 2.675, which is a hair less, becomes 2.68 there.
-#}
{% macro rounded(number, digits=0) -%}
    {{ adapter.dispatch('rounded', 'ruam')(number, digits) }}
{%- endmacro %}

{% macro default__rounded(number, digits) -%}
    round({{ number }}{% if digits %}, {{ digits }}{% endif %})
{%- endmacro %}

{% macro spark__rounded(number, digits) -%}
    (round(cast({{ number }} as double) * 1e{{ digits }}, 0) / 1e{{ digits }})
{%- endmacro %}

{#- The median of amounts in baht and satang; DuckDB leaves half a satang out. -#}
{% macro median_amount(amount) -%}
    {{ adapter.dispatch('median_amount', 'ruam')(amount) }}
{%- endmacro %}

{% macro default__median_amount(amount) -%}
    percentile_cont(0.5) within group (order by {{ amount }})
{%- endmacro %}

{% macro spark__median_amount(amount) -%}
    cast(floor(percentile(cast({{ amount }} * 100 as bigint), 0.5)) / 100 as decimal(18, 2))
{%- endmacro %}
