{#-
  Events of measures (`what_number`, `cut_number`, `is_main`, `service_month`, `hospcode`, `province_code`, `column`) in every
  area and period that they count in. Reads the areas and cuts of `measure_lattice`.

  The areas come by a left join (without one, no cut has its level, and the event goes): DuckDB would otherwise first lay
  all areas beside all cuts and months, ten million rows to look up a few events in.
-#}
{% macro in_areas_and_periods(events, column) -%}
    {%- for area, key in [('areas_of_facilities', 'hospcode'), ('areas_of_provinces', 'province_code')] %}
    select
        events.what_number,
        {{ area }}.area_number,
        month_cuts.period_number,
        events.{{ column }}
    from {{ events }} as events
    left join {{ area }} on events.{{ key }} = {{ area }}.{{ key }}
    inner join area_cuts
        on
            events.cut_number = area_cuts.cut_number
            and {{ area }}.area_level = area_cuts.area_level
            and (events.is_main or not area_cuts.is_main_only)
    inner join month_cuts
        on
            events.cut_number = month_cuts.cut_number
            and {{ area }}.area_level = month_cuts.area_level
            and events.service_month = month_cuts.month_start
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
{%- endmacro %}
