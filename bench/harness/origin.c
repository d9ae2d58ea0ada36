/* The servers behind every engine where answers are small: one epoll loop and one fixed answer.

   origin PORT BYTES: a request that has arrived whole and has no body is answered; whoever sends anything else is
   closed, which the engine in between makes an error of. It is here to leave the core that it shares with the load
   generator to that one, so that engines work as fast as they can instead of waiting. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char answer[65536];
static int answer_length;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void make_answer(int bytes) {
    char date[64];
    time_t now = time(NULL);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
    int head = snprintf(answer, sizeof answer,
                        "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: %s\r\nContent-Type: text/plain\r\n"
                        "Content-Length: %d\r\nConnection: keep-alive\r\n\r\n",
                        date, bytes);
    if (bytes < 0 || head + bytes > (int)sizeof answer) {
        fprintf(stderr, "an answer of %d bytes does not fit\n", bytes);
        exit(1);
    }
    memset(answer + head, 'x', bytes);
    answer_length = head + bytes;
}

static int listening(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) || bind(fd, (struct sockaddr *)&at, sizeof at) ||
        listen(fd, 4096))
        fail("listen");
    return fd;
}

static void watch(int events, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(events, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

static void serve(int fd) {
    static char request[65536];
    ssize_t length = recv(fd, request, sizeof request, 0);
    int whole = length >= 4 && memcmp(request + length - 4, "\r\n\r\n", 4) == 0;
    if (!whole || send(fd, answer, answer_length, MSG_NOSIGNAL | MSG_DONTWAIT) != answer_length)
        close(fd);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: origin PORT BYTES\n");
        return 2;
    }
    make_answer(atoi(arguments[2]));
    int listener = listening(atoi(arguments[1])), events = epoll_create1(EPOLL_CLOEXEC);
    watch(events, listener);
    for (;;) {
        struct epoll_event ready[256];
        int found = epoll_wait(events, ready, 256, -1);
        for (int i = 0; i < found; i++) {
            int fd = ready[i].data.fd;
            if (fd != listener)
                serve(fd);
            else if ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
                watch(events, fd);
        }
    }
}
