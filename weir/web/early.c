/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that end before they have a request, and so before an access log could tell of them: a line in the error
 * log at its level info, in nginx's words, and a counter.
 */
#include "libweir/base/err.h"
#include "weir/web/logs.h"
#include "weir/web/site.h"
#include "weir/web/worker.h"

#define SAID_MS 10000U

static const char *doing(const struct wr_http_conn *conn)
{
    const char *phase = wr_http_conn_phase(conn);
    if (strcmp(phase, "proxy") == 0)
        return "reading the PROXY header";
    return strcmp(phase, "handshake") == 0 ? "SSL handshaking" : "waiting for request";
}

static struct web_conn describe(const struct web_door *door, const struct wr_http_conn *conn)
{
    struct web_conn c = {.listen = door->listen,
                         .server = door->listen->default_server,
                         .number = wr_http_conn_serial(conn),
                         .local = door->listen->options.addr};
    if (wr_http_conn_peer(conn, &c.peer) < 0)
        c.peer.kind = WR_ADDR_NONE;
    return c;
}

#define SAY(...) web_conn_error(&c, w->log, wr_loop_wall_ns(w->loop), WR_LOG_INFO, __VA_ARGS__)

/* A failed handshake was said in OpenSSL's words; the end of a stopping server's connections is no fault. */
void web_early_closed(const struct web_door *door, const struct wr_http_conn *conn,
                      enum wr_close why, int err)
{
    const struct web_worker *w = door->worker;
    if (why == WR_CLOSE_STOP || why == WR_CLOSE_LOCAL ||
        !web_server_error_wanted(door->listen->default_server, WR_LOG_INFO))
        return;
    struct web_conn c = describe(door, conn);
    if (why == WR_CLOSE_PROTO) {
        if (strcmp(wr_http_conn_phase(conn), "proxy") == 0)
            SAY(0, "broken header while %s", doing(conn));
    } else if (why == WR_CLOSE_PEER) {
        SAY(0, "client closed connection while %s", doing(conn));
    } else if (err == WR_E_DEADLINE) {
        SAY(0, "client timed out (110: Connection timed out) while %s", doing(conn));
    } else {
        SAY(err, "connection lost while %s", doing(conn));
    }
}

void web_early_shake_failed(struct wr_http_conn *conn, const char *why, void *arg)
{
    const struct web_door *door = arg;
    const struct web_worker *w = door->worker;
    struct web_conn c = describe(door, conn);
    SAY(0, "SSL_do_handshake() failed (SSL: %s) while %s", why, doing(conn));
}

void web_early_watch(struct web_worker *w)
{
    struct wr_http_stats s = web_worker_stats(w);
    uint64_t now = wr_loop_now_ms(w->loop);
    bool soon = w->shakes_said_ms && now < w->shakes_said_ms + SAID_MS;
    if (s.handshake_pauses == w->shake_pauses || soon)
        return;
    w->shake_pauses = s.handshake_pauses;
    w->shakes_said_ms = now;
    WR_LOG(w->log, WARN, "handshakes", "are",
           "too many: accepting pauses, those older than a second are closed (%llu so far)",
           (unsigned long long)s.handshakes_shed);
}
