"""What you do with a model besides training and testing it: info, benchmark."""
