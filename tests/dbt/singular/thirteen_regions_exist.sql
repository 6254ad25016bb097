-- Region 13 sends little and must still be shown: all 13 regions stand among the areas.
select count(*) as n_regions
from {{ ref('dim_areas') }}
where area_level = 'region' and area_code between '01' and '13'
having count(*) <> 13
