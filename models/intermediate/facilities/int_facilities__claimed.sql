{{ config(materialized='incremental', incremental_strategy='by_difference', on_schema_change='fail') }}

select distinct
    hospcode,
    {{ month_start('date_serv') }} as claim_month
from {{ ref('stg_f16__adp_opd') }}
