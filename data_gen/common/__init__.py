"""What every script of data_gen shares: command line, array files, worker processes, pictures."""
