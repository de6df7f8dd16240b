/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker_memory: what is done at its two marks, counted and said. A shortage begins with its first consequence, or when
 * the worker notices it, and is over when somebody looks and memory is under the soft mark; a crowd at the mark comes
 * and goes all the time, so each thing is said once in ten seconds.
 */
#include "libweir/base/mem_budget.h"
#include "libweir/io/log.h"
#include "weir/web/worker.h"

#include <stdio.h>

#define SAID_MS 10000U

static bool time_to_say(const struct web_worker *w, uint64_t *said_ms)
{
    uint64_t now = wr_loop_now_ms(w->loop);
    if (*said_ms && now < *said_ms + SAID_MS)
        return false;
    *said_ms = now;
    return true;
}

static struct web_shortage *shortage_of(struct web_worker *w)
{
    struct web_shortage *s = &w->shortage;
    if (!s->since_ms)
        s->since_ms = wr_loop_now_ms(w->loop);
    return s;
}

bool web_worker_short(const struct web_worker *w)
{
    const struct wr_budget *b = wr_loop_budget(w->loop);
    return b && wr_budget_over_soft(b);
}

static void say_soft(struct web_worker *w)
{
    struct web_shortage *s = shortage_of(w);
    const struct wr_budget *b = wr_loop_budget(w->loop);
    if (!time_to_say(w, &s->soft_said_ms))
        return;
    WR_LOG(w->log, WARN, "worker_memory",
           "short:", "used=%zu limit=%zu, new requests get 503, idle connections are closed",
           b->used, b->hard);
}

void web_worker_turned_away(struct web_worker *w)
{
    say_soft(w);
    w->turned_away++;
    w->shortage.turned_away++;
}

void web_worker_unlogged(struct web_worker *w)
{
    w->unlogged++;
    shortage_of(w)->unlogged++;
}

void web_worker_closed_idle(struct web_worker *w)
{
    say_soft(w);
    w->shortage.idle_closed++;
}

void web_worker_closed_hungry(struct web_worker *w, struct wr_http_conn *conn)
{
    struct web_shortage *s = shortage_of(w);
    const struct wr_budget *b = wr_loop_budget(w->loop);
    char peer[WR_ADDR_TEXT_MAX] = "?", id[32];
    struct wr_addr a;
    if (!time_to_say(w, &s->hard_said_ms))
        return;
    if (wr_http_conn_peer(conn, &a) == 0)
        wr_addr_format(&a, peer);
    (void)snprintf(id, sizeof id, "*%llu", (unsigned long long)wr_http_conn_serial(conn));
    WR_LOG(w->log, ERROR, id, "closed:",
           "it needs more memory than worker_memory leaves, peer=%s requests=%u used=%zu "
           "limit=%zu",
           peer, wr_http_conn_requests(conn), b ? b->used : 0, b ? b->hard : 0);
}

void web_worker_watch_memory(struct web_worker *w)
{
    struct web_shortage *s = &w->shortage;
    if (web_worker_short(w)) {
        say_soft(w);
        return;
    }
    if (!s->since_ms)
        return;
    uint64_t hungry = web_worker_stats(w).no_memory;
    WR_LOG(w->log, NOTICE, "worker_memory", "enough:",
           "requests_refused=%llu not_in_access_log=%llu idle_closed=%llu closed=%llu "
           "lasted_ms=%llu",
           (unsigned long long)s->turned_away, (unsigned long long)s->unlogged,
           (unsigned long long)s->idle_closed, (unsigned long long)(hungry - s->hungry_before),
           (unsigned long long)(wr_loop_now_ms(w->loop) - s->since_ms));
    *s = (struct web_shortage){.soft_said_ms = s->soft_said_ms,
                               .hard_said_ms = s->hard_said_ms,
                               .hungry_before = hungry};
}
