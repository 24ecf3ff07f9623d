"""List the rules over descriptions of APIs, in the order in which they are told."""

from typing import Final

from watchword.scan.api.rule import ApiRule
from watchword.scan.api.rules import (
    api_admin_without_scope,
    api_deprecated,
    api_enumerable_ids,
    api_excessive_properties,
    api_file_upload,
    api_key_in_query,
    api_key_only,
    api_no_authentication,
    api_no_authentication_on_write,
    api_old_versions,
    api_plain_http,
    api_unknown_hosts,
    api_unknown_paths,
    api_unlimited_guessing,
    api_url_parameters,
    api_weak_authentication,
)

RULES: Final[tuple[ApiRule, ...]] = (
    api_no_authentication.RULE,
    api_no_authentication_on_write.RULE,
    api_admin_without_scope.RULE,
    api_enumerable_ids.RULE,
    api_excessive_properties.RULE,
    api_unlimited_guessing.RULE,
    api_key_only.RULE,
    api_key_in_query.RULE,
    api_weak_authentication.RULE,
    api_url_parameters.RULE,
    api_file_upload.RULE,
    api_plain_http.RULE,
    api_old_versions.RULE,
    api_deprecated.RULE,
    api_unknown_hosts.RULE,
    api_unknown_paths.RULE,
)
