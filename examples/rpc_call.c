/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rpc_call ADDRESS get KEY        prints the value
 * rpc_call ADDRESS put KEY VALUE
 * rpc_call ADDRESS hold           asks nothing, but answers pings, until the server has had enough
 * rpc_call ADDRESS deaf           answers nothing at all
 *
 * The client of rpc. Exit status 0: answered (hold, deaf: closed by the server); 1: no such key, no answer.
 */
#include "libweir/libweir.h"
#include "libweir/pb/pb.h"

#include <kv.pb-c.h>
#include <stdio.h>

struct call {
    char **argv;
    struct wr_service *service;
    struct wr_client *client;
    struct wr_arena_source source;
    struct wr_arena arena;
    bool done;
    int status;
};

static void finish(struct call *call, int status)
{
    if (!call->done)
        call->status = status;
    call->done = true;
    wr_service_stop(call->service);
}

static int on_open(struct wr_conn *c)
{
    struct call *call = wr_conn_arg(c);
    char **argv = call->argv;
    Kv__Packet out = KV__PACKET__INIT;
    Kv__Pair pair = KV__PAIR__INIT;
    out.id = 1;
    if (strcmp(argv[2], "get") == 0 && argv[3]) {
        out.body_case = KV__PACKET__BODY_GET;
        out.get = argv[3];
    } else if (strcmp(argv[2], "put") == 0 && argv[3] && argv[4]) {
        out.body_case = KV__PACKET__BODY_PUT;
        pair.key = argv[3];
        pair.value = (ProtobufCBinaryData){strlen(argv[4]), (uint8_t *)argv[4]};
        out.put = &pair;
    } else { /* a first word is expected of everybody */
        out.body_case = KV__PACKET__BODY_PING;
        out.ping = true;
    }
    return wr_conn_send_pb(c, &out.base);
}

static int on_packet(struct call *call, struct wr_conn *c, const Kv__Packet *in)
{
    Kv__Packet pong = KV__PACKET__INIT;
    switch ((int)in->body_case) {
    case KV__PACKET__BODY_PING:
        printf("ping %llu\n", (unsigned long long)in->id);
        pong.id = in->id;
        pong.body_case = KV__PACKET__BODY_PONG;
        pong.pong = true;
        return strcmp(call->argv[2], "deaf") == 0 ? WR_FRAME_QUIET
                                                  : wr_conn_send_pb(c, &pong.base);
    case KV__PACKET__BODY_PONG:
        return WR_FRAME_QUIET;
    case KV__PACKET__BODY_VALUE:
        printf("%.*s\n", (int)in->value.len, (const char *)in->value.data);
        finish(call, 0);
        return 0;
    case KV__PACKET__BODY_ERROR:
        printf("error: %s\n", in->error);
        finish(call, 1);
        return 0;
    default:
        return WR_E_PROTO;
    }
}

static int on_frame(struct wr_conn *c, struct wr_view frame)
{
    struct call *call = wr_conn_arg(c);
    ProtobufCMessage *in;
    int rc = wr_pb_unpack(&kv__packet__descriptor, &call->arena, frame, &in);
    if (rc == 0)
        rc = on_packet(call, c, (const Kv__Packet *)in);
    wr_arena_reset(&call->arena, WR_ARENA_CHUNK);
    return rc;
}

static void on_close(struct wr_conn *c, enum wr_close why, int err)
{
    struct call *call = wr_conn_arg(c);
    (void)err;
    if (call->done)
        return;
    printf("closed: %s\n", wr_close_text(why));
    finish(call, strcmp(call->argv[2], "hold") != 0 && strcmp(call->argv[2], "deaf") != 0);
}

static void on_fail(struct wr_client *client, int err, enum wr_connect_stage stage,
                    uint32_t retry_ms)
{
    (void)retry_ms;
    fprintf(stderr, "rpc_call: %s: %s\n", wr_connect_stage_name(stage), wr_err_text(err));
    finish(wr_client_arg(client), 1);
}

static const struct wr_proto proto = {
    .on_open = on_open, .on_frame = on_frame, .on_close = on_close};
static const struct wr_codec codec = WR_CODEC_LEN32(64 << 10);

static int on_start(struct wr_service *service)
{
    struct call *call = wr_service_arg(service);
    struct wr_loop *loop = wr_service_loop(service);
    call->service = service;
    wr_arena_source_init(&call->source, wr_loop_mem(loop), wr_loop_budget(loop),
                         wr_loop_blocks(loop));
    wr_arena_init(&call->arena, &call->source, NULL, WR_ARENA_CHUNK);
    return wr_client_connect(wr_service_scope(service), loop,
                             &(struct wr_client_options){
                                 .target = call->argv[1],
                                 .conn = {.proto = &proto, .codec = &codec, .arg = call},
                                 .on_fail = on_fail
    },
                             &call->client);
}

static void on_stop(struct wr_service *service)
{
    struct call *call = wr_service_arg(service);
    wr_client_close(&call->client);
    wr_arena_deinit(&call->arena);
    wr_arena_source_deinit(&call->source);
}

int main(int argc, char **argv)
{
    struct call call = {.argv = argv, .status = 1};
    if (argc < 3) {
        fprintf(stderr, "usage: rpc_call ADDRESS get KEY | put KEY VALUE | hold | deaf\n");
        return 2;
    }
    int rc = wr_service_run(&(struct wr_service_options){.name = "rpc_call",
                                                         .arg = &call,
                                                         .log_level = WR_LOG_ERROR,
                                                         .on_start = on_start,
                                                         .on_stop = on_stop});
    return rc ? rc : call.status;
}
