"""What pages share: words, numbers, filters, charts and the note under each figure."""
