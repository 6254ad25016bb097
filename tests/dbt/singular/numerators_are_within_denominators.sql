select *
from {{ ref('agg_measure_results') }}
where numerator > denominator or n_linkable > denominator or numerator > n_linkable
