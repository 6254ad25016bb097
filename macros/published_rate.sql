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
