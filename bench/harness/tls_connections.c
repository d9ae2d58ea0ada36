/* A TLS connection per request, again and again: the load of the handshake scenarios.
 *
 *   tls_connections PORT CONNECTIONS SECONDS full|resumed
 *
 * Keeps CONNECTIONS connections to 127.0.0.1 busy. Each is opened, does its handshake, sends one request with
 * `Connection: close`, reads until the server has closed, and is followed by another one. `resumed` offers the
 * newest ticket that any connection was given, `full` none. Prints one line of totals; `resumed=` counts the
 * handshakes in which the server took the ticket. The chain of the certificate is not verified; the signature
 * of the handshake is, as in every TLS 1.3 client. Suites and groups come from OPENSSL_CONF.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "latencies.h"

enum { MAX_EVENTS = 256, HEAD_BYTES = 12, PATIENCE_MS = 5000 };

static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
static const char EXPECTED[] = "HTTP/1.1 200";

/* One connection; `received` counts up to HEAD_BYTES, the status line's beginning. */
struct connection {
    SSL *ssl;
    int descriptor;
    int sent;
    size_t received;
    char head[HEAD_BYTES];
    double started;
};

static SSL_CTX *context;
static SSL_SESSION *newest;
static int resume, poll_descriptor;
static struct sockaddr_in server;
static struct latencies answered;
static long resumed, errors;

static void die_of_tls(const char *what) {
    ERR_print_errors_fp(stderr);
    die(what);
}

/* Called by the library for each ticket; 1 means that we keep the reference. */
static int keep_ticket(SSL *ssl, SSL_SESSION *session) {
    (void)ssl;
    SSL_SESSION_free(newest);
    newest = session;
    return 1;
}

static void make_context(void) {
    context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) die_of_tls("SSL_CTX_new");
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    if (resume) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, keep_ticket);
    }
}

static void watch(struct connection *one, int operation, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = one};
    if (epoll_ctl(poll_descriptor, operation, one->descriptor, &event) != 0) die("epoll_ctl");
}

/* A copy: the library spoils a session for all its users when one of them is given the next ticket. */
static void offer_ticket(SSL *ssl) {
    SSL_SESSION *copy = SSL_SESSION_dup(newest);
    if (copy == NULL || SSL_set_session(ssl, copy) != 1) die_of_tls("SSL_set_session");
    SSL_SESSION_free(copy);
}

static void open_connection(struct connection *one) {
    int on = 1;
    one->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (one->descriptor < 0) die("socket");
    setsockopt(one->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    one->sent = 0;
    one->received = 0;
    one->started = now();
    int refused = connect(one->descriptor, (struct sockaddr *)&server, sizeof server);
    if (refused && errno != EINPROGRESS) die("connect");
    one->ssl = SSL_new(context);
    if (one->ssl == NULL || SSL_set_fd(one->ssl, one->descriptor) != 1) die_of_tls("SSL_new");
    SSL_set_tlsext_host_name(one->ssl, "localhost");
    if (resume && newest != NULL) offer_ticket(one->ssl);
    SSL_set_connect_state(one->ssl);
    watch(one, EPOLL_CTL_ADD, EPOLLOUT);
}

/* The server has closed already. The flags keep the library from calling the session a broken one. */
static void close_connection(struct connection *one) {
    SSL_set_shutdown(one->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(one->ssl);
    close(one->descriptor);
}

static void count(const struct connection *one, int is_right) {
    if (!is_right) {
        errors++;
        return;
    }
    keep_latency(&answered, now() - one->started);
    resumed += SSL_session_reused(one->ssl);
}

static void keep_head(struct connection *one, const char *data, size_t length) {
    size_t wanted = HEAD_BYTES - one->received;
    if (length < wanted) wanted = length;
    memcpy(one->head + one->received, data, wanted);
    one->received += wanted;
}

/* Goes as far as it can: 1 when the connection has ended, 0 when it waits for the events it asked for. */
static int advance(struct connection *one) {
    char buffer[16384];
    int result;
    if (!one->sent) {
        result = SSL_do_handshake(one->ssl);
        if (result == 1) {
            result = SSL_write(one->ssl, REQUEST, sizeof REQUEST - 1);
            one->sent = result > 0;
        }
    }
    if (one->sent)
        while ((result = SSL_read(one->ssl, buffer, sizeof buffer)) > 0) keep_head(one, buffer, result);
    switch (SSL_get_error(one->ssl, result)) {
        case SSL_ERROR_WANT_READ: watch(one, EPOLL_CTL_MOD, EPOLLIN); return 0;
        case SSL_ERROR_WANT_WRITE: watch(one, EPOLL_CTL_MOD, EPOLLOUT); return 0;
        case SSL_ERROR_ZERO_RETURN:
            count(one, one->received == HEAD_BYTES && memcmp(one->head, EXPECTED, HEAD_BYTES) == 0);
            return 1;
        default:
            ERR_clear_error();
            count(one, 0);
            return 1;
    }
}

/* Handles what is ready; connections that end are followed by another one while `more`. Returns how many ended. */
static int turn(int more) {
    struct epoll_event events[MAX_EVENTS];
    int ended = 0, ready = epoll_wait(poll_descriptor, events, MAX_EVENTS, PATIENCE_MS);
    if (ready == 0) {
        fprintf(stderr, "the server did nothing for %d ms\n", PATIENCE_MS);
        exit(1);
    }
    for (int i = 0; i < ready; i++) {
        struct connection *one = events[i].data.ptr;
        if (!advance(one)) continue;
        close_connection(one);
        ended++;
        if (more) open_connection(one);
    }
    return ended;
}

static void report(double seconds) {
    sort_latencies(&answered);
    printf("RESULT requests=%ld microseconds=%.0f p50=%ld p99=%ld errors=%ld resumed=%ld\n", answered.count,
           seconds * 1e6, percentile_us(&answered, 50), percentile_us(&answered, 99), errors, resumed);
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS full|resumed\n", arguments[0]);
        return 2;
    }
    int wanted = atoi(arguments[2]);
    double length = atof(arguments[3]);
    resume = strcmp(arguments[4], "resumed") == 0;
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    poll_descriptor = epoll_create1(0);
    struct connection *all = calloc(wanted, sizeof *all);
    if (wanted < 1 || all == NULL || poll_descriptor < 0) die("start");
    make_context();

    double started = now();
    /* The first connection alone: it earns the ticket that the others begin with. */
    open_connection(&all[0]);
    while (turn(0) == 0) continue;
    for (int i = 0; i < wanted; i++) open_connection(&all[i]);
    while (now() - started < length) turn(1);
    for (int left = wanted; left > 0;) left -= turn(0);
    report(now() - started);
    return 0;
}
