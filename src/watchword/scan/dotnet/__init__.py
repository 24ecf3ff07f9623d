"""Read assemblies of .NET: loose ones, those in stores, and packed ones.  Pure."""
