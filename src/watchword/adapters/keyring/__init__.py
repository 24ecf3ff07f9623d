"""Keep the service's keys: token keys in their three states, and the secrets beside them."""
