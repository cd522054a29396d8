"""The synthetic data set of the demo: actions, how people move, and the sensor that records them."""
