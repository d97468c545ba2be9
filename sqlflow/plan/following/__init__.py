"""Tables are brought up to date by the rows that changed: what decides it, and the statements."""
