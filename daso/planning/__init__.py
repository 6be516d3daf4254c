"""Plans before training: status, cost, disk space and wall time of runs; runs behind published cells."""
