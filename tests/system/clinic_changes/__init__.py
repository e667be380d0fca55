"""Changes of the clinic that are backtested."""
