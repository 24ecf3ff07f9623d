"""Write the pages of the documentation that are made from code and tables, each by a module of its name."""
