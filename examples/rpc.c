/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rpc [ADDRESS] [status=ADDRESS] [idle_ms=N] [heartbeat_ms=N]
 *
 * A key-value service: protobuf messages in frames on one port, an HTTP status page on another. A silent
 * client is asked whether it lives (ping); after three misses, or idle_ms without a request, it is out.
 *
 *     rpc &
 *     rpc_call tcp://127.0.0.1:2010 put colour blue
 *     rpc_call tcp://127.0.0.1:2010 get colour
 *     curl http://127.0.0.1:2011/          who is connected, and who was closed and why
 *
 * A message is unpacked out of the reader's block, a value that is stored is a copy of its own: the block
 * may be filled again as soon as on_frame returns.
 */
#include "examples/kv_store.h"
#include "examples/option.h"
#include "libweir/pb/pb.h"

#include <kv.pb-c.h>

struct rpc {
    struct wr_service *service;
    struct wr_table store;
    struct wr_arena_source source;
    struct wr_arena arena; /* the message at hand */
    uint64_t gets, puts, pings;
};

/* protobuf-c has no const; packing only reads. */
static ProtobufCBinaryData binary(struct wr_span s)
{
    return (ProtobufCBinaryData){s.n, (uint8_t *)(uintptr_t)s.p};
}

static int answer(struct wr_conn *c, uint64_t id, struct kv_entry *e, int err)
{
    static char no_such_key[] = "no such key", full[] = "the store is full";
    Kv__Packet out = KV__PACKET__INIT;
    out.id = id;
    out.body_case = e && !err ? KV__PACKET__BODY_VALUE : KV__PACKET__BODY_ERROR;
    if (e && !err)
        out.value = binary(wr_bytes_span(&e->value));
    else
        out.error = err ? full : no_such_key;
    return wr_conn_send_pb(c, &out.base);
}

static int on_put(struct rpc *rpc, struct wr_conn *c, uint64_t id, const Kv__Pair *pair)
{
    struct wr_span key = wr_span_str(pair->key);
    struct wr_bytes value;
    int rc = wr_bytes_copy(wr_loop_blocks(wr_conn_loop(c)),
                           wr_span(pair->value.data, pair->value.len), &value);
    rpc->puts++;
    if (rc == 0)
        rc = kv_put(&rpc->store, key, &value);
    return answer(c, id, kv_find(&rpc->store, key), rc);
}

static int on_packet(struct rpc *rpc, struct wr_conn *c, const Kv__Packet *in)
{
    Kv__Packet pong = KV__PACKET__INIT;
    switch ((int)in->body_case) {
    case KV__PACKET__BODY_GET:
        rpc->gets++;
        return answer(c, in->id, kv_find(&rpc->store, wr_span_str(in->get)), 0);
    case KV__PACKET__BODY_PUT:
        return on_put(rpc, c, in->id, in->put);
    case KV__PACKET__BODY_PING:
        pong.id = in->id;
        pong.body_case = KV__PACKET__BODY_PONG;
        pong.pong = true;
        return wr_conn_send_pb(c, &pong.base);
    case KV__PACKET__BODY_PONG:
        return WR_FRAME_QUIET; /* it lives, but it wants nothing: idle_ms goes on */
    default:
        return WR_E_PROTO;
    }
}

static int on_frame(struct wr_conn *c, struct wr_view frame)
{
    struct rpc *rpc = wr_conn_arg(c);
    ProtobufCMessage *in;
    int rc = wr_pb_unpack(&kv__packet__descriptor, &rpc->arena, frame, &in);
    if (rc == 0)
        rc = on_packet(rpc, c, (const Kv__Packet *)in);
    wr_arena_reset(&rpc->arena, WR_ARENA_CHUNK);
    return rc;
}

static void on_idle(struct wr_conn *c, unsigned missed)
{
    struct rpc *rpc = wr_conn_arg(c);
    Kv__Packet ping = KV__PACKET__INIT;
    ping.id = missed;
    ping.body_case = KV__PACKET__BODY_PING;
    ping.ping = true;
    rpc->pings++;
    (void)wr_conn_send_pb(c, &ping.base); /* whoever cannot be asked will miss its heartbeats */
}

static void on_status(struct wr_http_req *req, void *arg)
{
    struct rpc *rpc = arg;
    struct wr_server_stats s = wr_server_stats(wr_service_server(rpc->service, 0));
    struct wr_arena *arena = wr_http_arena(req);
    char *closed = wr_arena_printf(arena, "%s", "");
    for (unsigned i = 0; closed && i < WR_CLOSES; i++)
        if (s.links.closed[i])
            closed = wr_arena_printf(arena, "%sclosed_%s %llu\n", closed,
                                     wr_close_name((enum wr_close)i),
                                     (unsigned long long)s.links.closed[i]);
    (void)wr_http_replyf(
        req, 200, "text/plain",
        "open %u\naccepted %llu\n%sgets %llu\nputs %llu\npings %llu\nkeys %zu\n"
        "busy_permille %llu\n",
        s.open, (unsigned long long)s.links.opened, closed ? closed : "",
        (unsigned long long)rpc->gets, (unsigned long long)rpc->puts,
        (unsigned long long)rpc->pings, wr_table_count(&rpc->store),
        (unsigned long long)wr_loop_stats(wr_http_loop(req))->busy_permille);
}

static int on_start(struct wr_service *service)
{
    struct rpc *rpc = wr_service_arg(service);
    struct wr_loop *loop = wr_service_loop(service);
    rpc->service = service;
    wr_table_init(&rpc->store, wr_loop_heap(loop), (struct wr_hash_key){0});
    wr_arena_source_init(&rpc->source, wr_loop_mem(loop), wr_loop_budget(loop),
                         wr_loop_blocks(loop));
    wr_arena_init(&rpc->arena, &rpc->source, NULL, WR_ARENA_CHUNK);
    return 0;
}

static void on_stop(struct wr_service *service)
{
    struct rpc *rpc = wr_service_arg(service);
    kv_free(&rpc->store);
    wr_arena_deinit(&rpc->arena);
    wr_arena_source_deinit(&rpc->source);
}

int main(int argc, char **argv)
{
    static const struct wr_proto proto = {.on_frame = on_frame, .on_idle = on_idle};
    static const struct wr_codec codec = WR_CODEC_LEN32(64 << 10);
    static struct rpc rpc;
    return wr_service_run(&(struct wr_service_options){
        .name = "rpc",
        .arg = &rpc,
        .on_start = on_start,
        .on_stop = on_stop,
        .servers = {{.addr = option_address(argc, argv, "tcp://127.0.0.1:2010"),
                     .conn = {.proto = &proto,
                              .codec = &codec,
                              .arg = &rpc,
                              .idle_ms = option_number(argc, argv, "idle_ms", 60000),
                              .heartbeat_ms =
                                  option_number(argc, argv, "heartbeat_ms", 10000)}}},
        .http = {{.addr = option(argc, argv, "status", "tcp://127.0.0.1:2011"),
                  .on_request = on_status,
                  .arg = &rpc}}});
}
