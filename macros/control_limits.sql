{#-
    Limits of control charts: how far a value may lie from the mean of the months before it. Spread is told by the mean
    distance of neighbouring months, which is 1.128 standard deviations (d2 of two; Shewhart, Wheeler), and three of
    these are allowed: 2.66 times that distance, as charts of individual values are published with (NHS England, Making
    Data Count). `dashboards/components/control.py` draws the same for figures as published.
-#}

{% macro history_months() -%}
    24
{%- endmacro %}

{#- A standard deviation, of the mean distance of neighbours. -#}
{% macro sigma_of_ranges(mean_range) -%}
    {{ ratio(mean_range, 1.128) }}
{%- endmacro %}

{#- Three of them; the constant is rounded as it is published. -#}
{% macro reach_of_ranges(mean_range) -%}
    {{ (3 / 1.128) | round(2) }} * {{ mean_range }}
{%- endmacro %}

{#- above, below or within; null limits are for the caller to tell. -#}
{% macro against_limits(value, lower_limit, upper_limit) -%}
    case
        when {{ value }} < {{ lower_limit }} then 'below'
        when {{ value }} > {{ upper_limit }} then 'above'
        else 'within'
    end
{%- endmacro %}
