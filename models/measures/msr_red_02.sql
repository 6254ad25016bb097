{{ repeat_visits('RED-02') }}
