{{ config(materialized='incremental', incremental_strategy='by_person') }}

{{ repeat_visits('RED-02', other_windows=[14], by_clinic=true) }}
