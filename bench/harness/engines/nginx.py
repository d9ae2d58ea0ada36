"""nginx with the settings that its own tuning guides give: no log, pooled upstream connections, session tickets."""

import os

from .engine import Engine

CONFIG = """
daemon off;
{user}
worker_processes {workers};
worker_rlimit_nofile 60000;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log error;
events {{
    use epoll;
    worker_connections {descriptors};
}}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_temp_path {directory}/nginx-body;
    proxy_temp_path {directory}/nginx-proxy;
    fastcgi_temp_path {directory}/nginx-fastcgi;
    uwsgi_temp_path {directory}/nginx-uwsgi;
    scgi_temp_path {directory}/nginx-scgi;
    upstream app {{
        {servers}
        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_timeout 600s;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096 reuseport{protocols};
        {tls}
        location / {{
            {forward_to}
            {forwarding}
            # Measured here: with 4 KiB buffers 1 MiB costs five times as much, and an upload that is
            # streamed more than twice as much as one that is collected in memory first.
            proxy_buffers 8 32k;
            proxy_busy_buffers_size 128k;
            client_body_buffer_size 128k;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""

TLS = """
        ssl_certificate {certificate.chain};
        ssl_certificate_key {certificate.key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_timeout 1d;
        # Tickets resume; measured here: a shared cache beside them adds 6 % to a handshake.
        ssl_session_tickets on;
        ssl_session_cache none;"""

FORWARD_HTTP = """
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";"""

FORWARD_GRPC = """
            grpc_pass grpc://app;"""

FORWARDING = """
            {module}_set_header Host $http_host;
            {module}_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            {module}_set_header X-Forwarded-Proto $scheme;
            {module}_set_header X-Real-IP $remote_addr;"""


class Nginx(Engine):
    name = "nginx"
    version_pattern = r"nginx/(\S+)"

    def version_flag(self):
        return ["-v"]

    def command(self, setup):
        path = setup.directory / "nginx.conf"
        path.write_text(CONFIG.format(
            directory=setup.directory,
            port=setup.port,
            user="user root;" if os.geteuid() == 0 else "",
            workers=setup.workers,
            descriptors=setup.max_connections * 2,
            servers="\n        ".join(f"server 127.0.0.1:{port};" for port in setup.origins),
            protocols=" ssl http2" if setup.certificate else " http2" if setup.grpc else "",
            tls=TLS.strip().format(certificate=setup.certificate) if setup.certificate else "",
            forward_to=(FORWARD_GRPC if setup.grpc else FORWARD_HTTP).strip(),
            forwarding=forwarding(setup),
        ))
        return [self.binary, "-c", str(path), "-e", str(setup.directory / "nginx.log")]


def forwarding(setup):
    if not setup.forwarding_fields:
        return ""
    return FORWARDING.strip().format(module="grpc" if setup.grpc else "proxy")
