-- In each cell, the visits of all labels are the visits that there are: each has one label, and none has two.
with labelled as (
    select
        service_month,
        treatment_province_code,
        visit_class,
        count(case when label = 'data_issue' then 1 end)
        + count(case when label = 'redundant' then 1 end)
        + count(case when label = 'unreasonable' then 1 end)
        + count(case when label = 'potentially_avoidable' then 1 end)
        + count(case when label = 'not_flagged' then 1 end) as n_visits
    from {{ ref('fct_visit_labels') }}
    group by service_month, treatment_province_code, visit_class
),

visits as (
    select
        service_month,
        treatment_province_code,
        visit_class,
        count(*) as n_visits
    from {{ ref('fct_visits') }}
    group by service_month, treatment_province_code, visit_class
)

select
    visits.service_month,
    visits.treatment_province_code,
    visits.visit_class,
    visits.n_visits,
    labelled.n_visits as n_labelled
from visits
left join labelled
    on
        visits.service_month = labelled.service_month
        and visits.treatment_province_code = labelled.treatment_province_code
        and visits.visit_class = labelled.visit_class
where labelled.n_visits is null or labelled.n_visits <> visits.n_visits
