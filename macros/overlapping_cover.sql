{#-
  CTEs that end in `name`: for each row of the CTE `rows`, the cover that reaches furthest of those dispensed earlier
  in the same `group` under another `other` (another facility, or another substance): dispensing_key, other_cover_end and
  other_strength. A row without one is left out. Ties of a day go by time, facility and key. `rows` has the columns of
  int_dispensings__covered and is_index: whether it may be the earlier one.

  Two windows, no pairs: a person with 150,000 rows costs 150,000 steps. Why it is exact: walk through a group in order
  and keep the leader, the greatest cover so far (by last day, then `other`, then strength). Each row that is not of the
  leader's `other` leaves a loser, the lesser of the two. The greatest loser so far is the greatest cover of any `other`
  but the leader's: when the lead last changed hands, the old leader lost, and it was the greatest of all before it; and
  since then each row that is not of the leader's `other` has lost. So a row of the leader's own `other` is compared
  with the greatest loser, and any other row with the leader.
-#}
{% macro overlapping_cover(name, rows, group, other) -%}
{%- set width = 9 -%}
{%- set strength_width = 20 -%}
{{ name }}_comparable as (
    select
        {{ rows }}.*,
        case
            when {{ rows }}.is_index
                then
                    {{ as_text(rows ~ '.cover_end') }}
                    || lpad({{ rows }}.{{ other }}, {{ width }}, ' ')
                    || coalesce(lpad({{ as_text(rows ~ '.strength') }}, {{ strength_width }}, ' '), '')
        end as own_cover
    from {{ rows }}
    inner join (
        select {{ group | join(', ') }}
        from {{ rows }}
        group by {{ group | join(', ') }}
        having min({{ other }}) <> max({{ other }})
    ) as with_several using ({{ group | join(', ') }})
),

{{ name }}_led as (
    select
        *,
        max(own_cover) over (
            partition by {{ group | join(', ') }}
            order by dispensed_date, time_serv nulls last, hospcode, dispensing_key
            rows between unbounded preceding and 1 preceding
        ) as leader
    from {{ name }}_comparable
),

{{ name }}_lost as (
    select
        *,
        trim(substr(leader, 11, {{ width }})) = {{ other }} as is_own_lead,
        case
            when trim(substr(leader, 11, {{ width }})) = {{ other }} then null
            when own_cover < leader then own_cover
            when own_cover is not null then leader
        end as loser
    from {{ name }}_led
),

{{ name }}_compared as (
    select
        dispensing_key,
        case
            when is_own_lead
                then max(loser) over (
                    partition by {{ group | join(', ') }}
                    order by dispensed_date, time_serv nulls last, hospcode, dispensing_key
                    rows between unbounded preceding and 1 preceding
                )
            else leader
        end as other_cover
    from {{ name }}_lost
),

{{ name }} as (
    select
        dispensing_key,
        {{ as_date('substr(other_cover, 1, 10)') }} as other_cover_end,
        {{ as_decimal("nullif(trim(substr(other_cover, " ~ (11 + width) ~ ")), '')") }} as other_strength
    from {{ name }}_compared
    where other_cover is not null
)
{%- endmacro %}

{#- Days that two covers share, from the start of the later one; null when there is no other. -#}
{% macro overlap_days(start, own_end, other_end) -%}
    {{ days_between(start, 'case when ' ~ other_end ~ ' < ' ~ own_end ~ ' then ' ~ other_end ~ ' when ' ~ other_end ~ ' is not null then ' ~ own_end ~ ' end') }} + 1
{%- endmacro %}
