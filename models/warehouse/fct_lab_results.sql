{{ config(materialized='incremental', incremental_strategy='by_person') }}

-- LABFU is a file of surveys: a test may have been done elsewhere, so it is no workload of its sender.
with tests as (
    select
        *,
        upper(trim(labtest)) as lab_code
    from {{ of_affected(ref('stg_f43__labfu'), 'registration') }}
),

newest as (
    {{ newest_by('tests', ['hospcode', 'pid', 'date_serv', 'lab_code']) }}
),

placed as (
    {{ with_person_and_place('newest') }}
),

lab_tests as (
    select * from {{ ref('lab_tests') }}
)

select
    {{ surrogate_key(['placed.hospcode', 'placed.pid', 'placed.date_serv', 'placed.lab_code']) }} as lab_result_key,
    placed.hospcode,
    case
        when placed.seq <> '' then {{ surrogate_key(['placed.hospcode', 'placed.seq', 'placed.date_serv']) }}
    end as visit_key,
    placed.person_key,
    placed.person_tier,
    placed.wide_person_key,
    placed.date_serv as test_date,
    {{ month_start('placed.date_serv') }} as service_month,
    placed.treatment_province_code,
    placed.lab_code,
    lab_tests.test_group,
    {{ number_or_null('placed.labresult') }} as result_value,
    placed.labresult as result_text,
    placed.labplace as lab_hospcode,
    placed.delivery_id
from placed
left join lab_tests on placed.lab_code = lab_tests.lab_code
