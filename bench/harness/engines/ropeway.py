"""Ropeway with its defaults: metrics on, forwarding fields on, every limit and time-out on."""

from .engine import Engine

CONFIG = """
workers = {workers}

[admin]
bind = "127.0.0.1:{admin_port}"

[limits]
connections = {max_connections}
{access_log}
[listener.web]
bind = "127.0.0.1:{port}"
{protocols}
{forwarding}

[[route]]
upstream = "app"

[upstream.app]
servers = [{servers}]
{to_servers}
"""

TLS = 'tls = {{ certificates = [{{ cert = "{certificate.chain}", key = "{certificate.key}" }}] }}'
HTTP2_WITHOUT_TLS = "http2 = { prior_knowledge = true }"

ACCESS_LOG = """
[log.access]
format = "json"
output = "{directory}/access.log"
"""

NO_FORWARDING = "forwarding = { x_forwarded = false, x_real_ip = false, via = false, request_id = false }"


class Ropeway(Engine):
    name = "ropeway"

    def command(self, setup):
        path = setup.directory / "ropeway.toml"
        path.write_text(CONFIG.format(
            port=setup.port,
            admin_port=setup.admin_port,
            workers=setup.workers,
            max_connections=setup.max_connections,
            servers=", ".join(f'"127.0.0.1:{port}"' for port in setup.origins),
            access_log=ACCESS_LOG.format(directory=setup.directory) if setup.access_log else "",
            protocols=protocols(setup),
            to_servers='protocol = "h2"' if setup.grpc else "",
            forwarding="" if setup.forwarding_fields else NO_FORWARDING,
        ))
        return [self.binary, "run", "-c", str(path)]


def protocols(setup):
    """What the listener says of TLS and HTTP/2."""
    if setup.certificate:
        return TLS.format(certificate=setup.certificate)
    return HTTP2_WITHOUT_TLS if setup.grpc else ""
