"""Which changes of its inputs a query can follow: as products, by counters, or by keys."""
