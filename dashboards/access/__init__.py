"""Who may open which page, and the doors that every request passes."""
