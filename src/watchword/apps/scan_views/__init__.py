"""Write a scan for people and for machines: terminal, JSON, SARIF, JUnit, HTML, CycloneDX."""
