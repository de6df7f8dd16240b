/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Variables of the connection, the machine and the clock.
 */
#include "libweir/os/os.h"
#include "weir/web/vars.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>

/* The arguments that all functions of rows have. */
#define GET(name)                                                         \
    static int name(struct web_req *r, WR_UNUSED const struct web_var *v, \
                    WR_UNUSED struct wr_span rest, struct web_val *out)

/* ---- addresses -------------------------------------------------------------------------------------------- */

static int put_ip(struct web_req *r, const struct wr_addr *a, struct web_val *out)
{
    char text[WR_ADDR_TEXT_MAX];
    if (!a || a->kind == WR_ADDR_NONE)
        return 0;
    if (a->kind == WR_ADDR_UNIX)
        return web_val_set(out, WR_LIT("unix:"));
    size_t n = wr_addr_format_ip(a, text);
    char *p = wr_arena_strndup(r->arena, text, n);
    return p ? web_val_set(out, wr_span(p, n)) : -ENOMEM;
}

static int put_port(struct web_req *r, const struct wr_addr *a, struct web_val *out)
{
    if (!a || a->kind == WR_ADDR_NONE)
        return 0;
    if (a->kind == WR_ADDR_UNIX || !a->port)
        return web_val_set(out, WR_LIT(""));
    return web_val_printf(r, out, "%u", a->port);
}

GET(get_remote_addr)
{
    return put_ip(r, &r->client, out);
}

GET(get_remote_port)
{
    return put_port(r, &r->client, out);
}

GET(get_binary_remote_addr)
{
    const struct wr_addr *a = &r->client;
    if (a->kind == WR_ADDR_V4)
        return web_val_set(out, wr_span(a->v4, 4));
    if (a->kind == WR_ADDR_V6)
        return web_val_set(out, wr_span(a->v6, 16));
    return put_ip(r, a, out);
}

GET(get_server_addr)
{
    return put_ip(r, web_local(r), out);
}

GET(get_server_port)
{
    return put_port(r, web_local(r), out);
}

GET(get_proxy_addr)
{
    const struct wr_addr *a = v->data ? &r->conn->proxy_local : &r->conn->proxy_peer;
    return put_ip(r, a, out);
}

GET(get_proxy_port)
{
    const struct wr_addr *a = v->data ? &r->conn->proxy_local : &r->conn->proxy_peer;
    return put_port(r, a, out);
}

/* ---- the connection -------------------------------------------------------------------------------------- */

GET(get_connection)
{
    return web_val_printf(r, out, "%llu", (unsigned long long)r->conn->number);
}

GET(get_connection_requests)
{
    return r->conn->http ? web_val_printf(r, out, "%u", wr_http_conn_requests(r->conn->http))
                         : 0;
}

static int put_seconds(struct web_req *r, uint64_t ms, struct web_val *out)
{
    return web_val_printf(r, out, "%llu.%03u", (unsigned long long)(ms / 1000),
                          (unsigned)(ms % 1000));
}

static uint64_t since(const struct web_req *r, uint64_t began_ms)
{
    uint64_t now = wr_loop_now_ms(web_loop(r));
    return now > began_ms ? now - began_ms : 0;
}

GET(get_connection_time)
{
    return put_seconds(r, since(r, r->conn->began_ms), out);
}

GET(get_request_time)
{
    return put_seconds(r, since(r, r->main->began_ms), out);
}

GET(get_https)
{
    return web_val_set(out, r->conn->tls ? WR_LIT("on") : WR_LIT(""));
}

GET(get_scheme)
{
    return web_val_set(out, r->conn->tls ? WR_LIT("https") : WR_LIT("http"));
}

/* The library reads one request ahead at most when it has answered: nothing is known to be pipelined. */
GET(get_pipe)
{
    (void)r;
    return web_val_set(out, WR_LIT("."));
}

enum tcpinfo {
    RTT,
    RTTVAR,
    SND_CWND,
    RCV_SPACE,
};

GET(get_tcpinfo)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof(info);
    if (!r->conn->http || r->conn->peer.kind == WR_ADDR_UNIX ||
        wr_os_getsockopt(wr_http_conn_fd(r->conn->http), IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
        return 0;
    const uint32_t values[] = {[RTT] = info.tcpi_rtt,
                               [RTTVAR] = info.tcpi_rttvar,
                               [SND_CWND] = info.tcpi_snd_cwnd,
                               [RCV_SPACE] = info.tcpi_rcv_space};
    return web_val_printf(r, out, "%u", values[v->data]);
}

/* ---- the machine ------------------------------------------------------------------------------------------ */

GET(get_hostname)
{
    return web_val_set(out, web_vars_hostname(r->server->generation->vars));
}

GET(get_pid)
{
    return web_val_printf(r, out, "%d", (int)wr_os_getpid());
}

GET(get_version)
{
    (void)r;
    return web_val_set(out, WR_LIT(WEB_NGINX_VERSION));
}

/* ---- the clock --------------------------------------------------------------------------------------------- */

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};

const struct web_local_time *web_local_time(struct web_vars *vars, int64_t s)
{
    struct web_local_time *t = web_vars_time(vars);
    struct tm tm;
    if (t->s == s)
        return t;
    wr_os_calendar(s, false, &tm);
    int off = (int)(tm.tm_gmtoff / 60), abs_off = off < 0 ? -off : off;
    char sign = off < 0 ? '-' : '+';
    int iso = snprintf(t->iso, sizeof(t->iso), "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec, sign, abs_off / 60, abs_off % 60);
    int log = snprintf(t->log, sizeof(t->log), "%02d/%s/%d:%02d:%02d:%02d %c%02d%02d",
                       tm.tm_mday, months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour,
                       tm.tm_min, tm.tm_sec, sign, abs_off / 60, abs_off % 60);
    t->iso_n = (uint8_t)iso;
    t->log_n = (uint8_t)log;
    t->s = s;
    return t;
}

static uint64_t wall_ms(const struct web_req *r)
{
    return wr_loop_wall_ns(web_loop(r)) / 1000000;
}

static int put_copy(struct web_req *r, const char *text, size_t n, struct web_val *out)
{
    char *p = wr_arena_strndup(r->arena, text, n);
    return p ? web_val_set(out, wr_span(p, n)) : -ENOMEM;
}

GET(get_time_iso8601)
{
    const struct web_local_time *t =
        web_local_time(r->server->generation->vars, (int64_t)(wall_ms(r) / 1000));
    return put_copy(r, t->iso, t->iso_n, out);
}

GET(get_time_local)
{
    const struct web_local_time *t =
        web_local_time(r->server->generation->vars, (int64_t)(wall_ms(r) / 1000));
    return put_copy(r, t->log, t->log_n, out);
}

GET(get_msec)
{
    return put_seconds(r, wall_ms(r), out);
}

GET(get_date)
{
    struct tm tm;
    bool utc = v->data != 0;
    wr_os_calendar((int64_t)(wall_ms(r) / 1000), utc, &tm);
    return web_val_printf(r, out, "%s, %02d-%s-%d %02d:%02d:%02d %s", days[tm.tm_wday % 7],
                          tm.tm_mday, months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour,
                          tm.tm_min, tm.tm_sec, utc || !tm.tm_zone ? "GMT" : tm.tm_zone);
}

#define FRESH WEB_VAR_NO_CACHE

const struct web_var web_conn_variables[] = {
    {"binary_remote_addr",         get_binary_remote_addr, NULL, 0, 0},
    {"remote_addr",                        get_remote_addr, NULL, 0, 0},
    {"remote_port",                           get_remote_port, NULL, 0, 0},
    {"server_addr",                get_server_addr, NULL, 0, 0},
    {"server_port",                        get_server_port, NULL, 0, 0},
    {"proxy_protocol_addr",                           get_proxy_addr, NULL, 0, 0},
    {"proxy_protocol_port",                get_proxy_port, NULL, 0, 0},
    {"proxy_protocol_server_addr",                        get_proxy_addr, NULL, 0, 1},
    {"proxy_protocol_server_port",                           get_proxy_port, NULL, 0, 1},
    {"connection",                get_connection, NULL, 0, 0},
    {"connection_requests",                        get_connection_requests, NULL, 0, 0},
    {"connection_time",                           get_connection_time, NULL, FRESH, 0},
    {"request_time",                get_request_time, NULL, FRESH, 0},
    {"https",                        get_https, NULL, 0, 0},
    {"scheme",                           get_scheme, NULL, 0, 0},
    {"pipe",        get_pipe, NULL, 0, 0},
    {"tcpinfo_rtt",                        get_tcpinfo, NULL, FRESH, RTT},
    {"tcpinfo_rttvar",                           get_tcpinfo, NULL, FRESH, RTTVAR},
    {"tcpinfo_snd_cwnd",        get_tcpinfo, NULL, FRESH, SND_CWND},
    {"tcpinfo_rcv_space",                        get_tcpinfo, NULL, FRESH, RCV_SPACE},
    {"hostname",                           get_hostname, NULL, 0, 0},
    {"pid", get_pid, NULL, 0, 0},
    {"nginx_version",                        get_version, NULL, 0, 0},
    {"msec",                           get_msec, NULL, FRESH, 0},
    {"time_iso8601", get_time_iso8601, NULL, FRESH, 0},
    {"time_local",                        get_time_local, NULL, FRESH, 0},
    {"date_local",                           get_date, NULL, FRESH, 0},
    {"date_gmt",                 get_date, NULL, FRESH, 1},
    {0                       },
};
