{#-
  What the events of each measure are, for the models that count them. `span`: a day or a month (`any`) counts in every
  period, a person's quarter in no month, a person's year in the periods that are its year. `place`: where an event
  counts, at its facility or at the person's home. `event`: whether event_key is a visit, which has more dimensions.
-#}
{% macro measure_library() -%}
    {%- set visit = {'span': 'any', 'place': 'facility', 'event': 'visit'} -%}
    {%- set at_facility = {'span': 'any', 'place': 'facility', 'event': 'other'} -%}
    {%- set at_home = {'span': 'any', 'place': 'home', 'event': 'other'} -%}
    {%- set quarter = {'span': 'quarter', 'place': 'home', 'event': 'other'} -%}
    {%- set year = {'span': 'year', 'place': 'home', 'event': 'other'} -%}
    {{ return({
        'RED-01': visit, 'RED-02': visit, 'RED-03': at_home, 'RED-04': at_facility, 'RED-05': at_facility,
        'RED-06': at_facility, 'RED-07': quarter, 'RED-08': at_facility, 'RED-09': year,
        'NEC-01': at_facility, 'NEC-02': at_home, 'NEC-03': visit, 'NEC-04': visit, 'NEC-05': year, 'NEC-06': year,
        'UNR-01': visit, 'UNR-02': visit, 'UNR-03': visit, 'UNR-04': quarter, 'UNR-05': visit, 'UNR-06': quarter,
        'UNR-07': quarter, 'UNR-08': visit, 'UNR-09': visit, 'UNR-10': visit, 'UNR-11': visit, 'UNR-12': at_home,
    }) }}
{%- endmacro %}

{#- Measures of which the population is the denominator. -#}
{% macro measures_of_population() -%}
    {{ return(['NEC-02']) }}
{%- endmacro %}

{% macro measure_model(measure_id) -%}
    {{ return('msr_' ~ measure_id | lower | replace('-', '_')) }}
{%- endmacro %}

{#- The sets of dimensions by which rates may be cut, most dimensions first; `measure_lattice` says which where. -#}
{% macro dimension_sets() -%}
    {{ return({
        'age_band_sex_right_group': ['age_band', 'sex', 'right_group'],
        'facility_type_right_group': ['facility_type', 'right_group'],
        'age_band_sex': ['age_band', 'sex'],
        'age_band': ['age_band'],
        'sex': ['sex'],
        'right_group': ['right_group'],
        'facility_type': ['facility_type'],
        'condition_group': ['condition_group'],
        'hour': ['hour'],
    }) }}
{%- endmacro %}

{#- The dimensions that the events of a measure have, and the sets that those make. -#}
{% macro dimensions_of(measure) -%}
    {%- set found = ['age_band', 'sex'] -%}
    {%- if measure.place == 'facility' -%}{%- do found.append('facility_type') -%}{%- endif -%}
    {%- if measure.event == 'visit' -%}{%- do found.extend(['right_group', 'condition_group', 'hour']) -%}{%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{% macro dimension_sets_of(measure) -%}
    {%- set dimensions = dimensions_of(measure) -%}
    {%- set found = {} -%}
    {%- for name, members in dimension_sets().items() if members | reject('in', dimensions) | list | length == 0 -%}
        {%- do found.update({name: members}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#- Every dimension, in the order of the columns that hold them. -#}
{% macro dimensions() -%}
    {{ return(['age_band', 'sex', 'right_group', 'facility_type', 'condition_group', 'hour']) }}
{%- endmacro %}

{#- Bands of age by their first year; the last has no end. -#}
{% macro age_bands() -%}
    {{ return({'00_04': 0, '05_14': 5, '15_29': 15, '30_44': 30, '45_59': 45, '60_74': 60, '75_up': 75}) }}
{%- endmacro %}

{#- The band of an age in years; `unknown` when it is null or below 0. -#}
{% macro age_band(years) -%}
    case
        {%- for band, first in age_bands().items() | list | reverse %}
        when {{ years }} >= {{ first }} then '{{ band }}'
        {%- endfor %}
        else 'unknown'
    end
{%- endmacro %}

{#-
  The relations that hold the dimensions of events, by name, as `events_with_dimensions` reads them: of all persons or,
  where all events are of `persons`, CTEs of `dimensions_of_persons`, for many statements read them.
-#}
{% macro sources_of_dimensions(read, persons=none) -%}
    {%- if persons -%}
        {{ return({'visits': 'visits_of_persons', 'persons': 'these_persons', 'facilities': read('dim_facilities')}) }}
    {%- endif -%}
    {{ return({
        'visits': read('fct_visit_dimensions'), 'persons': read('dim_persons'), 'facilities': read('dim_facilities'),
    }) }}
{%- endmacro %}

{#- These CTEs. -#}
{% macro dimensions_of_persons(read, persons) -%}
visits_of_persons as (
    select * from {{ of_persons(read('fct_visit_dimensions'), persons) }} as visits
),

these_persons as (
    select * from {{ of_persons(read('dim_persons'), persons) }} as persons
)
{%- endmacro %}

{#-
  The events of a measure with their dimensions, as a select: variant, event_key, service_month, hospcode (null at home),
  province_code, person_key, is_numerator, price and the dimensions, null where the events have none. `events` are those
  of the measure's model to look at.
-#}
{% macro events_with_dimensions(measure_id, where, events, sources) -%}
    {%- set measure = measure_library()[measure_id] -%}
    select
        events.variant,
        events.event_key,
        events.service_month,
        {{ 'events.hospcode' if measure.place == 'facility' else null_text() }} as hospcode,
        events.province_code,
        events.person_key,
        events.is_numerator,
        events.price,
        {{ age_band(age_years('persons.birth_month', 'events.event_date')) }} as age_band,
        coalesce(persons.sex, 'unknown') as sex,
        {{ "coalesce(facilities.facility_type_group, 'unknown')" if measure.place == 'facility' else null_text() }}
            as facility_type,
        {%- for dimension in ['right_group', 'condition_group', 'hour'] %}
        {{ "coalesce(visits." ~ dimension ~ ", 'unknown')" if measure.event == 'visit' else null_text() }} as {{ dimension }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from {{ events }} as events
    left join {{ sources.persons }} as persons on events.person_key = persons.person_key
    {%- if measure.place == 'facility' %}
    left join {{ sources.facilities }} as facilities on events.hospcode = facilities.hospcode
    {%- endif %}
    {%- if measure.event == 'visit' %}
    left join {{ sources.visits }} as visits on events.event_key = visits.visit_key
    {%- endif %}
    where {{ where }}
{%- endmacro %}

{#- Two digits from a time written HHMMSS; null when they are none. -#}
{% macro hour_of(time) -%}
    case when {{ matches_pattern(time, "'^([01][0-9]|2[0-3])'") }} then substr({{ time }}, 1, 2) end
{%- endmacro %}

{#- The set by which a row of grouping sets was counted: the first of whose dimensions none is null. -#}
{% macro dimension_set_of_row() -%}
    case
        {%- for name, members in dimension_sets().items() %}
        when {{ members | join(' is not null and ') }} is not null then '{{ name }}'
        {%- endfor %}
    end
{%- endmacro %}

{#- The row's member of the dimension in that place of its set; `all` where the set has fewer. -#}
{% macro member_of_row(position) -%}
    case
        {%- for name, members in dimension_sets().items() %}
        when {{ members | join(' is not null and ') }} is not null then {{ members[position] if members | length > position else "'all'" }}
        {%- endfor %}
    end
{%- endmacro %}

{#- The columns member_1 to member_3 of a set of dimensions: its members, then `all`. -#}
{% macro members_of_set(members) -%}
    {%- for position in range(3) %}
    {{ members[position] if members | length > position else "'all'" }} as member_{{ position + 1 }}{% if not loop.last %},{% endif %}
    {%- endfor %}
{%- endmacro %}
