{{ config(materialized='incremental', incremental_strategy='by_person') }}

select
    hospcode,
    pid,
    person_key,
    wide_person_key,
    person_tier,
    cid_class,
    nationality_group,
    is_registered
from {{ of_affected(ref('int_persons__identified')) }}
