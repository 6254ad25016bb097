{{ repeat_visits('RED-02', other_windows=[14]) }}
