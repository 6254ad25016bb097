{{ antibiotic_visits('UNR-01', 'CS_URI') }}
