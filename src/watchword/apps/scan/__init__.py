"""Scan an app or an API description, and write what was found."""
