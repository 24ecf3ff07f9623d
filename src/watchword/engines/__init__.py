"""Write the configuration with which other servers make the gate's decision."""
