-- The months that the newest 12 months of the measures rest on.
with newest as (
    select max(service_month) as last_month
    from {{ ref('fct_visits') }}
),

visits as (
    select
        visits.hospcode,
        count(*) as n_visits,
        sum(case when visits.principal_diagnosis is null then 1 else 0 end) as n_without_principal,
        sum(case when visits.principal_diagnosis is not null then 1 else 0 end) as n_with_principal,
        sum(
            case
                when visits.principal_diagnosis is not null and not coalesce(diseases.is_known, false) then 1
                else 0
            end
        )
            as n_unknown_diagnoses,
        sum(case when visits.person_tier = 'C' then 1 else 0 end) as n_not_followed,
        sum(case when visits.is_home_known then 0 else 1 end) as n_unknown_homes,
        sum(case when visits.right_group = 'unknown' then 1 else 0 end) as n_unknown_rights
    from {{ ref('fct_visits') }} as visits
    inner join newest on {{ add_months('newest.last_month', -11) }} <= visits.service_month
    left join {{ ref('dim_diseases') }} as diseases on visits.principal_diagnosis = diseases.diagnosis_code
    group by visits.hospcode
),

dispensings as (
    select
        dispensings.hospcode,
        count(*) as n_dispensings,
        sum(case when dispensings.is_days_supply_imputed then 1 else 0 end) as n_imputed,
        sum(case when coalesce(drugs.is_mapped, false) then 0 else 1 end) as n_unknown_drugs
    from {{ ref('fct_dispensings') }} as dispensings
    inner join newest on {{ add_months('newest.last_month', -11) }} <= dispensings.service_month
    left join {{ ref('dim_drugs') }} as drugs on dispensings.drug_code = drugs.drug_code
    where dispensings.setting = 'opd'
    group by dispensings.hospcode
),

reports as (
    select
        reports.hospcode,
        count(*) as n_reports,
        sum(case when reports.is_received then 0 else 1 end) as n_silent
    from {{ ref('fct_reports') }} as reports
    inner join newest
        on
            {{ add_months('newest.last_month', -11) }} <= reports.report_month
            and reports.report_month <= newest.last_month
    where reports.is_expected
    group by reports.hospcode
),

counted as (
    {%- for weakness, source, affected, asked in [
        ('no_principal_diagnosis', 'visits', 'n_without_principal', 'n_visits'),
        ('unknown_diagnosis', 'visits', 'n_unknown_diagnoses', 'n_with_principal'),
        ('person_not_followed', 'visits', 'n_not_followed', 'n_visits'),
        ('unknown_home', 'visits', 'n_unknown_homes', 'n_visits'),
        ('unknown_right', 'visits', 'n_unknown_rights', 'n_visits'),
        ('imputed_days_supply', 'dispensings', 'n_imputed', 'n_dispensings'),
        ('unknown_drug', 'dispensings', 'n_unknown_drugs', 'n_dispensings'),
        ('silent_facilities', 'reports', 'n_silent', 'n_reports'),
    ] %}
    select
        '{{ weakness }}' as weakness_id,
        hospcode,
        {{ affected }} as n_affected,
        {{ asked }} as n_asked
    from {{ source }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

by_area as (
    select
        counted.weakness_id,
        areas.area_level,
        areas.area_code,
        sum(counted.n_affected) as n_affected,
        sum(counted.n_asked) as n_asked
    from counted
    left join {{ ref('dim_facilities') }} as facilities on counted.hospcode = facilities.hospcode
    inner join {{ ref('bridge_provinces_areas') }} as areas
        on coalesce(facilities.province_code, '99') = areas.province_code
    where areas.area_level in ('nation', 'region')
    group by counted.weakness_id, areas.area_level, areas.area_code
),

-- A measure is weakened by what is wrong with the files it is made of.
of_measures as (
    select distinct
        inputs.measure_id,
        weaknesses.weakness_id,
        weaknesses.unit,
        weaknesses.name_th,
        weaknesses.name_en
    from {{ ref('measure_inputs') }} as inputs
    inner join {{ ref('weaknesses') }} as weaknesses on inputs.file = weaknesses.file
)

select
    of_measures.measure_id,
    of_measures.weakness_id,
    by_area.area_level,
    by_area.area_code,
    of_measures.unit,
    of_measures.name_th,
    of_measures.name_en,
    cast(by_area.n_affected as bigint) as n_affected,
    cast(by_area.n_asked as bigint) as n_asked
from of_measures
inner join by_area on of_measures.weakness_id = by_area.weakness_id
where by_area.n_asked > 0
