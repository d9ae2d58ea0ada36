//! Connections to servers that speak HTTP/2.
