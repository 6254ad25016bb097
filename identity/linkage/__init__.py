"""Who is who among records without a usable citizen number: names made comparable, a Splink model, stable persons."""
