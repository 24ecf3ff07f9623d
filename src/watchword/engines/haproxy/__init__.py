"""Write the configuration with which HAProxy makes the gate's decision by itself."""
