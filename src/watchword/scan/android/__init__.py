"""Read what Android's packages state: manifest, resources, network security config, signatures."""
