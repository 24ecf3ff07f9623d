"""Write reports: what every format of every report shares."""
