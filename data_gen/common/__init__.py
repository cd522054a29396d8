"""What the scripts of data_gen share: command line, conversion engine, array files, worker processes, pictures."""
