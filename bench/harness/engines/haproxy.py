"""HAProxy: no log, one thread per core it may use, upstream connections shared by all clients."""

from .engine import Engine

CONFIG = """
global
    nbthread {workers}
    maxconn {max_connections}
    no strict-limits
    {tls}

defaults
    mode http
    timeout connect 3s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    timeout http-request 600s
    option http-keep-alive
    http-reuse always
    # Measured here: splicing responses cuts the cost of 1 MiB to a third, splicing requests adds to it.
    option splice-response

frontend web
    bind 127.0.0.1:{port} backlog 4096{protocols}
    {forwarding}
    default_backend app

backend app
    balance roundrobin
    {servers}
"""

TLS = """
    ssl-default-bind-options ssl-min-ver TLSv1.2
    tune.ssl.lifetime 86400
    # Tickets resume; measured here: a cache beside them adds 6 % to a handshake.
    tune.ssl.cachesize 0"""

FORWARDING = """
    option forwardfor
    http-request set-header X-Forwarded-Proto {scheme}
    http-request set-header X-Real-IP %[src]"""


class HAProxy(Engine):
    name = "haproxy"

    def version_flag(self):
        return ["-v"]

    def command(self, setup):
        path = setup.directory / "haproxy.cfg"
        path.write_text(CONFIG.format(
            port=setup.port,
            workers=setup.workers,
            max_connections=setup.max_connections,
            tls=TLS.strip() if setup.certificate else "",
            protocols=protocols(setup),
            servers="\n    ".join(
                f"server s{n} 127.0.0.1:{port}{' proto h2' if setup.grpc else ''}"
                for n, port in enumerate(setup.origins)),
            forwarding=FORWARDING.strip().format(scheme=setup.scheme) if setup.forwarding_fields else "",
        ))
        return [self.binary, "-db", "-f", str(path)]


def protocols(setup):
    """What follows the address of the listener."""
    if setup.certificate:
        return f" ssl crt {setup.certificate.both} alpn h2,http/1.1"
    return " proto h2" if setup.grpc else ""
