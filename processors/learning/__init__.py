"""Models that learn one example at a time. No flow of its own."""
