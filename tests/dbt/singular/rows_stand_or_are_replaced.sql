{{ config(meta={'gate': 'row_balance'}) }}
-- Per file and delivery: rows sent are rejected, replaced or standing; and over all, every row that stands in staging
-- belongs to one file of one delivery. Both sides are counted apart: receipts by ingestion, standing rows in staging.
select
    files.delivery_id,
    files.file,
    'more rows stand than were landed, or rows are lost' as what
from {{ ref('fct_delivery_files') }} as files
where
    files.n_replaced < 0
    or files.n_rows <> files.n_rejected + coalesce(files.n_replaced + files.n_standing, files.n_landed)

union all

select
    null as delivery_id,
    told.file,
    'rows stand that no delivery tells of' as what
from (
    select
        'SERVICE' as file,
        (select count(*) from {{ ref('stg_f43__service') }}) as n_standing
    union all
    select
        'PERSON' as file,
        (select count(*) from {{ ref('stg_f43__person') }}) as n_standing
    union all
    select
        'DIAGNOSIS_OPD' as file,
        (select count(*) from {{ ref('stg_f43__diagnosis_opd') }}) as n_standing
) as told
left join (
    select
        file,
        sum(n_standing) as n_standing
    from {{ ref('fct_delivery_files') }}
    group by file
) as files on told.file = files.file
where told.n_standing <> coalesce(files.n_standing, 0)
