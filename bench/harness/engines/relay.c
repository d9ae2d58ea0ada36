/* The kernel's floor: passes bytes between a client and a server, and understands none of them.
 *
 * One thread, edge-triggered epoll, one connection to a server per client: the two reads and two writes per
 * request that every proxy needs, and nothing else. It is no proxy: it has no time-outs, no pool, and a sender
 * that is faster than its reader makes it wait.
 *
 * usage: relay PORT SERVER_PORT...
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST_DESCRIPTORS = 1 << 20, EVENTS = 256 };

static int peers[MOST_DESCRIPTORS];
static char buffer[256 * 1024];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int tcp_socket(int flags) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one)) fail("socket");
    return fd;
}

static int listen_on(const char *port) {
    struct sockaddr_in address = loopback(port);
    int one = 1, fd = tcp_socket(SOCK_NONBLOCK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) fail("listen");
    return fd;
}

static void watch(int poller, int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
}

static void welcome(int poller, int client, const char *server_port) {
    struct sockaddr_in address = loopback(server_port);
    int server = tcp_socket(0);
    if (connect(server, (struct sockaddr *)&address, sizeof address)) fail("connect");
    peers[client] = server;
    peers[server] = client;
    watch(poller, client, EPOLLIN | EPOLLET);
    watch(poller, server, EPOLLIN | EPOLLET);
}

static void pass_on(int from) {
    int to = peers[from];
    ssize_t count = recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 || to == 0) return;
    if (count == 0) {
        peers[from] = peers[to] = 0;
        close(from);
        close(to);
        return;
    }
    for (ssize_t sent = 0; sent < count;) {
        ssize_t more = send(to, buffer + sent, count - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (more > 0) {
            sent += more;
        } else {
            struct pollfd writable = {.fd = to, .events = POLLOUT};
            if (poll(&writable, 1, 1000) <= 0 || writable.revents & POLLERR) return;
        }
    }
    /* A full buffer may have left bytes behind, and their edge is used up. */
    if (count == sizeof buffer) pass_on(from);
}

int main(int count, char **words) {
    if (count < 3) return fprintf(stderr, "usage: relay PORT SERVER_PORT...\n"), 2;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int poller = epoll_create1(0), listener = listen_on(words[1]), turn = 0;
    watch(poller, listener, EPOLLIN);
    for (struct epoll_event events[EVENTS];;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                pass_on(events[i].data.fd);
                continue;
            }
            int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (client >= 0) welcome(poller, client, words[2 + turn++ % (count - 2)]);
        }
    }
}
