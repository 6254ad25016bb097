{#-
  Direct standardisation: one row for each of `keys` from the CTE `strata` (keys, weight, n_residents, n_events) with
  rate, low and high, per head. Strata without residents are left out, and the others' weights made up to 1.

  rate = sum of w d / n. Interval of 95% after Fay and Feuer (1997, Stat Med 16:791-801): for the variance v = sum of
  w2 d / n2 and the greatest w / n, the lower end is v / 2r times the 2.5th percentile of chi-square with 2 r2 / v degrees,
  the upper one the same at the 97.5th with r + g for r and v + g2 for v. Chi-square is that of Wilson and Hilferty (1931),
  within 0.2% from 10 events on; below that no rate is published.
-#}
{% macro standardized_rates(strata, keys) -%}
    {%- set z = 1.959964 -%}
    select
        {{ prefixed(keys, 'summed') }},
        summed.rate,
        coalesce(
            {{ ratio('summed.variance', '2 * summed.rate') }}
            * {{ chi_square(ratio('2 * summed.rate * summed.rate', 'summed.variance'), -z) }},
            0
        ) as low,
        {{ ratio('summed.variance + summed.greatest * summed.greatest', '2 * (summed.rate + summed.greatest)') }}
        * {{ chi_square(
            ratio(
                '2 * (summed.rate + summed.greatest) * (summed.rate + summed.greatest)',
                'summed.variance + summed.greatest * summed.greatest',
            ), z
        ) }} as high
    from (
        select
            {{ prefixed(keys, 'weighed') }},
            sum(weighed.share * weighed.n_events) as rate,
            sum(weighed.share * weighed.share * weighed.n_events) as variance,
            max(weighed.share) as greatest
        from (
            select
                {{ prefixed(keys, strata) }},
                {{ strata }}.n_events,
                {{ ratio(
                    ratio(strata ~ '.weight', 'sum(' ~ strata ~ '.weight) over (partition by ' ~ prefixed(keys, strata) ~ ')'),
                    strata ~ '.n_residents',
                ) }} as share
            from {{ strata }}
            where {{ strata }}.n_residents > 0
        ) as weighed
        group by {{ prefixed(keys, 'weighed') }}
    ) as summed
{%- endmacro %}

{#- The percentile of chi-square that lies `z` standard deviations out, by the cube of Wilson and Hilferty. -#}
{% macro chi_square(degrees, z) -%}
    {{ degrees }} * power(
        greatest(0, 1 - {{ ratio('2', '9 * ' ~ degrees) }} + ({{ z }}) * sqrt({{ ratio('2', '9 * ' ~ degrees) }})), 3
    )
{%- endmacro %}
