{#-
  A count as disclosure control publishes it (`ruam/disclosure.py`, with which a test compares it): 0, null for 1 to 9,
  else the nearest 5. A rate or interval that is published comes from these, or it would give the counts away.
-#}
{% macro published_count(count) -%}
    case when {{ count }} = 0 then 0 when {{ count }} >= 10 then {{ count }} + 2 - ({{ count }} + 2) % 5 end
{%- endmacro %}

{#-
  An end of the 95% interval of a proportion, null when a count is (Wilson 1927, J Am Stat Assoc 22:209-212); `sign` is - or +.
  Rounding may leave an end a hair outside of 0 to 1.
-#}
{% macro wilson_bound(numerator, denominator, sign) -%}
    {%- set z = 1.959964 -%}
    {%- set share = ratio(numerator, denominator) -%}
    {%- set spread = 'sqrt(' ~ ratio(share ~ ' * (1 - ' ~ share ~ ')', denominator) ~ ' + '
        ~ ratio(z * z, '4.0 * ' ~ denominator ~ ' * ' ~ denominator) ~ ')' -%}
    case
        when {{ numerator }} is not null and {{ denominator }} > 0 then greatest(0, least(1, {{ ratio(
            share ~ ' + ' ~ ratio(z * z, '2.0 * ' ~ denominator) ~ ' ' ~ sign ~ ' ' ~ z ~ ' * ' ~ spread,
            '1 + ' ~ ratio(z * z, denominator)
        ) }}))
    end
{%- endmacro %}

{#- A number of which `digits` digits say something, the rest are 0; null when it is. Negative numbers do not occur. -#}
{% macro significant(number, digits) -%}
    {%- set unit = 'power(10.0, floor(log10(nullif(' ~ number ~ ', 0))) - ' ~ (digits - 1) ~ ')' -%}
    coalesce(round({{ ratio(number, unit) }}) * {{ unit }}, 0 * ({{ number }}))
{%- endmacro %}

{#-
  A mean of at least 10 values, to as few decimals as leave their number open: for n values of whole numbers, every
  multiple of 0.1 is the mean of some when n is at least 10, every multiple of 0.01 when n is at least 100. All that are
  published as 100 (98 to 102) have one decimal, or the second would part them.
-#}
{% macro published_mean(total, n) -%}
    case
        when {{ n }} >= 103 then {{ rounded(ratio(total, n), 2) }}
        when {{ n }} >= 10 then {{ rounded(ratio(total, n), 1) }}
    end
{%- endmacro %}

{#-
  Whether what a count is made of is there: `no_data` when no report came and nothing was counted, `complete` when every
  report came that was owed, else `partial` (also of who owes none and sent all the same).
-#}
{% macro input_status(n_events, n_received, n_expected) -%}
    case
        when {{ n_received }} = 0 and {{ n_events }} = 0 then 'no_data'
        when {{ n_received }} = {{ n_expected }} and {{ n_expected }} > 0 then 'complete'
        else 'partial'
    end
{%- endmacro %}
