/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * relay ADDRESS TARGET
 *
 * Accepts here, connects there, and carries bytes both ways until both sides have ended. A side that reads
 * slowly slows the other down; what ends one side ends its session, with a line that says why.
 *
 *     hello &   relay tcp://127.0.0.1:2012 localhost:8080 &   curl http://127.0.0.1:2012/
 */
#include "libweir/libweir.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct relay {
    char **argv;
    struct wr_service *service;
    struct wr_target target;
    struct wr_resolver *resolver;
    struct wr_listener *listener;
};

struct session {
    struct relay *relay;
    int client; /* -1: the relay's or closed */
};

static void failed(struct session *s, const char *stage, int err)
{
    WR_LOG(wr_service_log(s->relay->service), WARN, "relay", "failed", "stage=%s err=%s", stage,
           wr_err_name(err));
    if (s->client >= 0)
        close(s->client);
    free(s);
}

static void on_end(void *arg, int err, const struct wr_relay_stats *stats)
{
    struct session *s = arg;
    if (err) {
        failed(s, "relay", err);
        return;
    }
    WR_LOG(wr_service_log(s->relay->service), NOTICE, "relay", "ended",
           "to_target=%llu to_client=%llu", (unsigned long long)stats->a_to_b,
           (unsigned long long)stats->b_to_a);
    free(s);
}

static void on_connected(void *arg, int err, const struct wr_connected *c)
{
    struct session *s = arg;
    struct wr_relay *r;
    if (err) {
        failed(s, wr_connect_stage_name(c->stage), err);
        return;
    }
    err = wr_relay_start_fds(wr_service_scope(s->relay->service), s->client, c->fd, NULL,
                             on_end, s, &r);
    if (err) {
        close(c->fd);
        failed(s, "relay", err);
        return;
    }
    s->client = -1;
}

static void on_accept(struct wr_listener *l, int fd, const struct wr_addr *peer, void *arg)
{
    struct relay *relay = arg;
    struct session *s = malloc(sizeof *s);
    (void)l;
    (void)peer;
    if (!s) {
        close(fd);
        return;
    }
    *s = (struct session){relay, fd};
    int rc = wr_connect(wr_service_scope(relay->service), relay->resolver, &relay->target, NULL,
                        on_connected, s);
    if (rc)
        failed(s, "connect", rc);
}

static int on_start(struct wr_service *service)
{
    struct relay *relay = wr_service_arg(service);
    struct wr_loop *loop = wr_service_loop(service);
    struct wr_listen_options listen = {0};
    relay->service = service;
    int rc = wr_target_parse(wr_span_str(relay->argv[2]), 0, &relay->target);
    if (rc == 0)
        rc = wr_addr_parse(wr_span_str(relay->argv[1]), &listen.addr);
    if (rc == 0)
        rc = wr_resolver_new(loop, NULL, &relay->resolver);
    if (rc == 0)
        rc = wr_listener_open(loop, &listen, on_accept, relay, &relay->listener);
    return rc;
}

static void on_stop(struct wr_service *service)
{
    struct relay *relay = wr_service_arg(service);
    wr_listener_close(&relay->listener);
    wr_scope_cancel(wr_service_scope(service),
                    WR_E_STOPPED); /* every session ends, and says so */
    wr_resolver_free(&relay->resolver);
}

int main(int argc, char **argv)
{
    struct relay relay = {.argv = argv};
    if (argc != 3) {
        fprintf(stderr, "usage: relay ADDRESS TARGET\n");
        return 2;
    }
    return wr_service_run(&(struct wr_service_options){
        .name = "relay", .arg = &relay, .on_start = on_start, .on_stop = on_stop});
}
