"""Open built apps: APK, AAB, split sets, IPA.  Nothing is written to disk, and nothing of them is run."""

from watchword.adapters.app_package.mapped_file import PackageError
from watchword.adapters.app_package.package import open_app

__all__ = ["PackageError", "open_app"]
