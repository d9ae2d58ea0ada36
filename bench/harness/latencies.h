/* What our load generators in C have in common: a clock, and the time that each answer took. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* In seconds, one for each answered request. */
struct latencies {
    double *seconds;
    long count, room;
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void keep_latency(struct latencies *all, double seconds) {
    if (all->count == all->room) {
        all->room = all->room ? all->room * 2 : 1 << 16;
        all->seconds = realloc(all->seconds, all->room * sizeof *all->seconds);
        if (all->seconds == NULL) die("realloc");
    }
    all->seconds[all->count++] = seconds;
}

static int by_length(const void *one, const void *other) {
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

/* To be called before `percentile_us`. */
static void sort_latencies(struct latencies *all) {
    if (all->count > 0) qsort(all->seconds, all->count, sizeof *all->seconds, by_length);
}

static long percentile_us(const struct latencies *all, int percent) {
    if (all->count == 0) return 0;
    long rank = (all->count * percent + 99) / 100;
    return all->seconds[rank > 0 ? rank - 1 : 0] * 1e6;
}
