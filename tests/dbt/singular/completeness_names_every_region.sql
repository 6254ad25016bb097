-- Every region is expected to report in every period, whether or not it did.
select
    period_type,
    period_start,
    count(*) as n_regions
from {{ ref('agg_completeness') }}
where area_level = 'region' and area_code <> '00'
group by period_type, period_start
having count(*) <> 13
