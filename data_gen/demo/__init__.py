"""The synthetic data set of the demo: actions, their motion, and the sensor that records it."""
