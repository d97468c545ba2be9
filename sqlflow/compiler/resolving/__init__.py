"""What the parts of a query stand for, scope by scope: names, stars, expressions, sources."""
