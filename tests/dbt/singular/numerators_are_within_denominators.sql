-- Of measures that compare several facilities, only people who can be followed are flagged. Admissions to population
-- are no share.
select *
from {{ ref('agg_measure_results') }}
where
    (measure_id <> 'NEC-02' and (numerator > denominator or n_linkable > denominator))
    or (measure_id in ('RED-01', 'RED-02', 'RED-03', 'RED-09') and numerator > n_linkable)
    or n_persons > numerator
    or not rate_low <= rate_high
