{{ config(materialized='incremental', incremental_strategy='by_person') }}

{{ repeat_visits('RED-01') }}
{{ clustered_by('person_key') }}
