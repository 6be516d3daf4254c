"""How fast it is: measured beside its peers, against the machine's own ceiling, and as the work grows."""
