{#-
  The columns that rows of one merged visit share, joined by commas: facility, person, day and class; SEQ too when the
  parameter says that rows are not merged.
-#}
{% macro merged_visit() -%}
    hospcode, pid, date_serv, visit_class{% if measure_parameter('*', 'merge_visits') == 'false' %}, seq{% endif %}
{%- endmacro %}
