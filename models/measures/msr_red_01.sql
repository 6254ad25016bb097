{{ repeat_visits('RED-01') }}
