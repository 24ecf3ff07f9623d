"""Run parts of nginx's script by themselves: an nginx that answers with what a function returns."""

import contextlib
import http.client
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port
from tests.system.engines.nginx.rig import NGINX
from tests.unit.engines.envoy.rig import PATIENCE, until

_CONFIGURATION = """
user root; daemon off; worker_processes 1; pid {d}/nginx.pid; error_log {d}/error.log warn;
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
events {{}}
http {{
  access_log off; client_max_body_size 10m; client_body_buffer_size 10m; lua_shared_dict watchword_rate 1m;
  client_body_temp_path {d}/t; proxy_temp_path {d}/t; fastcgi_temp_path {d}/t; uwsgi_temp_path {d}/t; scgi_temp_path {d}/t;
  init_by_lua_block {{ package.loaded.answer = assert(loadfile("{d}/part.lua"))() }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      content_by_lua_block {{
        ngx.req.read_body()
        ngx.print(require("answer")(ngx.req.get_body_data() or ""))
      }}
    }}
  }}
}}
"""


@dataclass
class Bench:
    """Hold a running nginx with one function."""

    connection: http.client.HTTPConnection

    def ask(self, body: bytes) -> bytes:
        """Return what the function makes of some bytes."""
        self.connection.request("POST", "/", body)
        answer = self.connection.getresponse()
        found = answer.read()
        assert answer.status == 200, found
        return found


@contextlib.contextmanager
def bench(directory: Path, script: str) -> Iterator[Bench]:
    """Run a script that returns a function from bytes to bytes."""
    port = free_port()
    (directory / "part.lua").write_text(script, "utf-8")
    written = directory / "nginx.conf"
    written.write_text(_CONFIGURATION.format(d=directory, port=port))
    command = [NGINX, "-c", str(written), "-e", str(directory / "error.log")]
    process = subprocess.Popen(command)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def connects() -> bool:
        assert process.poll() is None, (directory / "error.log").read_text()
        with contextlib.suppress(OSError):
            connection.connect()
            return True
        return False

    try:
        until(connects)
        yield Bench(connection)
    finally:
        connection.close()
        process.terminate()
        process.wait()
