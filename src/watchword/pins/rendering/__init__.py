"""Write a pin set in the formats of platforms and libraries: what an app is built with, for when nothing was delivered yet."""
