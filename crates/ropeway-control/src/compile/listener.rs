//! Listeners.

use std::sync::Arc;

use ropeway_config::schema;
use ropeway_core::forwarding::{ForwardingPolicy, TrustedProxies};
use ropeway_core::http1::{BodyLimits, HeadLimits};
use ropeway_core::rate::MinRate;
use ropeway_proxy::snapshot::{ClientTimeouts, Http2Limits, Listener, ProxyProtocolPolicy};

use super::{Compiler, bytes, millis};

impl Compiler<'_> {
    pub(super) fn listener(&mut self, config: &schema::Listener) -> Listener {
        let name: Arc<str> = config.name.value.as_str().into();
        let live = self.registry.listener(&mut self.usage, &name, self.now_ms);
        Listener {
            name: config.name.value.clone(),
            addresses: config.bind.iter().map(|address| address.value).collect(),
            timeouts: timeouts(&config.timeout),
            head_limits: head_limits(&config.limits),
            body_limits: body_limits(&config.limits),
            forwarding: forwarding(config),
            request_id: config.forwarding.request_id.as_ref().map(field_name),
            server_name_field: config.server_name_header.as_ref().map(field_name),
            max_connections: config.limits.connections,
            max_connections_per_client: config.limits.connections_per_client,
            max_requests_per_connection: config.keep_alive_requests,
            abort_on_close: config.abort_on_close,
            tls: self.tls.listeners.get(&config.name.value).cloned(),
            http2: config.http2.enabled.then(|| http2(&config.http2)),
            proxy_protocol: config.proxy_protocol.as_ref().map(proxy_protocol),
            redirect_https: config.redirect_https,
            hsts: config.hsts.as_ref().map(hsts),
            live,
        }
    }
}

fn timeouts(config: &schema::ListenerTimeouts) -> ClientTimeouts {
    let grace_ms = u32::try_from(millis(config.min_rate_grace)).unwrap_or(u32::MAX);
    ClientTimeouts {
        head_ms: millis(config.head),
        idle_ms: millis(config.idle),
        body_idle_ms: millis(config.body_idle),
        send_idle_ms: millis(config.send_idle),
        min_rate: config.min_rate.map(|bytes_per_second| MinRate { bytes_per_second, grace_ms }),
        linger_ms: config.linger.map_or(0, millis),
    }
}

fn head_limits(config: &schema::ListenerLimits) -> HeadLimits {
    HeadLimits {
        head_bytes: bytes(config.head),
        fields: config.fields.into(),
        target_bytes: bytes(config.target),
    }
}

fn body_limits(config: &schema::ListenerLimits) -> BodyLimits {
    BodyLimits {
        chunk_line: bytes(config.chunk_line),
        trailer_bytes: bytes(config.trailer),
        ..BodyLimits::default()
    }
}

fn forwarding(config: &schema::Listener) -> ForwardingPolicy {
    let fields = &config.forwarding;
    ForwardingPolicy {
        trusted: TrustedProxies::new(config.trusted_proxies.iter().map(|network| network.value)),
        x_forwarded: fields.x_forwarded,
        x_real_ip: fields.x_real_ip,
        forwarded: fields.forwarded,
        via: fields.via.as_ref().map(|name| name.as_str().as_bytes().to_vec()),
    }
}

fn http2(config: &schema::Http2) -> Http2Limits {
    let octets = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
    Http2Limits {
        prior_knowledge: config.prior_knowledge,
        max_concurrent_streams: config.max_concurrent_streams,
        max_header_list: octets(config.max_header_list),
        stream_window: octets(config.stream_window),
        connection_window: octets(config.connection_window),
        max_frame: octets(config.max_frame),
        max_resets_per_minute: config.max_resets_per_minute,
        keep_alive_interval_ms: config.keep_alive_interval.map(millis),
        keep_alive_timeout_ms: millis(config.keep_alive_timeout),
    }
}

fn proxy_protocol(config: &schema::ProxyProtocol) -> ProxyProtocolPolicy {
    ProxyProtocolPolicy {
        trusted: TrustedProxies::new(config.trusted.iter().map(|network| network.value)),
        timeout_ms: millis(config.timeout),
    }
}

/// RFC 6797 section 6.1.
fn hsts(config: &schema::Hsts) -> Box<[u8]> {
    let subdomains = if config.include_subdomains { "; includeSubDomains" } else { "" };
    let preload = if config.preload { "; preload" } else { "" };
    let age = config.max_age.as_secs();
    format!("Strict-Transport-Security: max-age={age}{subdomains}{preload}\r\n").into_bytes().into()
}

fn field_name(name: &schema::HeaderName) -> Box<[u8]> {
    name.as_str().as_bytes().into()
}
