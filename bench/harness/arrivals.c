/* Requests that come when they come, whatever became of those before: the load of the latency scenario.
 *
 *   arrivals PORT PATH CONNECTIONS SECONDS PER_SECOND
 *
 * The gaps between arrivals are random and independent, as those of many clients are (a Poisson process; the same gaps in
 * every run). A request goes out on the connection to 127.0.0.1 that has been idle for longest, and waits for one when none
 * is. Its latency begins when it was due, not when it was sent, so that a server that stalls is charged for all that it kept
 * waiting. Answers need a Content-Length. Prints one line of totals; `late=` is the 99th percentile of how long after its
 * time a request was sent, which is the generator's own share.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "latencies.h"

enum { MAX_EVENTS = 256, BUFFER_BYTES = 16384, PATIENCE_SECONDS = 5 };

static const char EXPECTED[] = "HTTP/1.1 200";
static const char LENGTH[] = "\r\ncontent-length:";

struct connection {
    int descriptor;
    double due;
    struct connection *next;
    size_t received;
    char buffer[BUFFER_BYTES];
};

/* The idle connections, the one that has been idle for longest first. */
static struct connection *first_idle, *last_idle;
static int poll_descriptor;
static long busy, errors;
static struct sockaddr_in server;
static char request[1024];
static int request_length;
static struct latencies answered, lateness;

static void open_connection(struct connection *one) {
    int on = 1;
    one->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (one->descriptor < 0) die("socket");
    setsockopt(one->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(one->descriptor, (struct sockaddr *)&server, sizeof server)) die("connect");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    if (epoll_ctl(poll_descriptor, EPOLL_CTL_ADD, one->descriptor, &event)) die("epoll_ctl");
}

static void make_idle(struct connection *one) {
    one->next = NULL;
    one->received = 0;
    if (first_idle == NULL)
        first_idle = one;
    else
        last_idle->next = one;
    last_idle = one;
}

/* An exponentially distributed gap: xorshift64* for the randomness. */
static double gap(double per_second) {
    static uint64_t state = 0x9E3779B97F4A7C15;
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    double unit = ((state * 0x2545F4914F6CDD1D >> 11) + 1) / 9007199254740993.0;
    return -log(unit) / per_second;
}

static void send_request(double due) {
    struct connection *one = first_idle;
    first_idle = one->next;
    one->due = due;
    busy++;
    keep_latency(&lateness, now() - due);
    /* What fails here shows as the end of the connection. */
    (void)!send(one->descriptor, request, request_length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Whether all of the answer is there: 1, 0, or -1 where it is none that we want. */
static int is_whole(struct connection *one) {
    one->buffer[one->received] = 0;
    char *end = strstr(one->buffer, "\r\n\r\n");
    if (end == NULL) return one->received < BUFFER_BYTES - 1 ? 0 : -1;
    char *length = strcasestr(one->buffer, LENGTH);
    if (length == NULL || length > end || strncmp(one->buffer, EXPECTED, strlen(EXPECTED)) != 0) return -1;
    size_t whole = end + 4 - one->buffer + strtoul(length + strlen(LENGTH), NULL, 10);
    return one->received < whole ? (whole < BUFFER_BYTES ? 0 : -1) : one->received == whole ? 1 : -1;
}

static void fail(struct connection *one) {
    errors++;
    close(one->descriptor);
    open_connection(one);
}

static void receive(struct connection *one) {
    ssize_t length =
        recv(one->descriptor, one->buffer + one->received, BUFFER_BYTES - 1 - one->received, MSG_DONTWAIT);
    if (length < 0 && errno == EAGAIN) return;
    int is_busy = one->due > 0;
    if (length > 0) one->received += length;
    int state = length > 0 && is_busy ? is_whole(one) : -1;
    if (state == 0) return;
    if (state < 0) fail(one);
    if (!is_busy) return;
    if (state > 0) keep_latency(&answered, now() - one->due);
    one->due = 0;
    busy--;
    make_idle(one);
}

/* Handles what has arrived until `until`, or what there is when that is over already. */
static int receive_until(double until) {
    struct epoll_event events[MAX_EVENTS];
    double wait = until - now();
    if (wait < 0) wait = 0;
    struct timespec patience = {.tv_sec = wait, .tv_nsec = (wait - (time_t)wait) * 1e9};
    int ready = epoll_pwait2(poll_descriptor, events, MAX_EVENTS, &patience, NULL);
    if (ready < 0) die("epoll_pwait2");
    for (int i = 0; i < ready; i++) receive(events[i].data.ptr);
    return ready;
}

static void run(double seconds, double per_second) {
    double start = now(), due = start + gap(per_second);
    while (due < start + seconds) {
        if (first_idle == NULL) {
            if (receive_until(now() + PATIENCE_SECONDS) == 0) {
                fprintf(stderr, "the server did nothing for %d s\n", PATIENCE_SECONDS);
                exit(1);
            }
        } else if (now() < due) {
            receive_until(due);
        } else {
            send_request(due);
            due += gap(per_second);
        }
    }
    while (busy > 0 && receive_until(now() + PATIENCE_SECONDS) > 0) continue;
    errors += busy;
}

int main(int count, char **arguments) {
    if (count != 6) {
        fprintf(stderr, "usage: %s PORT PATH CONNECTIONS SECONDS PER_SECOND\n", arguments[0]);
        return 2;
    }
    int connections = atoi(arguments[3]);
    double seconds = atof(arguments[4]), per_second = atof(arguments[5]);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    request_length =
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n\r\n", arguments[2], arguments[1]);
    poll_descriptor = epoll_create1(EPOLL_CLOEXEC);
    struct connection *all = calloc(connections, sizeof *all);
    if (connections < 1 || per_second <= 0 || request_length >= (int)sizeof request || all == NULL || poll_descriptor < 0)
        die("start");
    /* Otherwise the kernel may wake us 50 microseconds after the time. */
    prctl(PR_SET_TIMERSLACK, 1);
    for (int i = 0; i < connections; i++) {
        open_connection(&all[i]);
        make_idle(&all[i]);
    }
    double start = now();
    run(seconds, per_second);
    double took = now() - start;
    sort_latencies(&answered);
    sort_latencies(&lateness);
    printf("RESULT requests=%ld microseconds=%.0f p50=%ld p99=%ld errors=%ld late=%ld\n", answered.count, took * 1e6,
           percentile_us(&answered, 50), percentile_us(&answered, 99), errors, percentile_us(&lateness, 99));
    return 0;
}
