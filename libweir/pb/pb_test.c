/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/pb/pb.h"

#include "libweir/base/err.h"
#include "libweir/conn/server.h"

#include "tests/conn_kit.h"
#include "tests/nth.h"
#include "tests/tap.h"

#include <pb_test.pb-c.h>

static const struct wr_codec varint = WR_CODEC_VARINT(1 << 16);
static struct wr_arena_source arenas;
static int result;

/* Answers a pair with its key and value exchanged. */
static int on_frame(struct wr_conn *c, struct wr_view v)
{
    struct wr_arena arena;
    ProtobufCMessage *m;
    wr_arena_init(&arena, &arenas, NULL, WR_ARENA_SMALL);
    int rc = wr_pb_unpack(&test__pair__descriptor, &arena, v, &m);
    result = rc;
    if (rc == 0) {
        Test__Pair *in = (Test__Pair *)m, out = TEST__PAIR__INIT;
        out.key = (char *)in->value.data;
        out.has_value = true;
        out.value.data = (uint8_t *)in->key;
        out.value.len = strlen(in->key) + 1;
        out.n_numbers = in->n_numbers;
        out.numbers = in->numbers;
        rc = wr_conn_send_pb(c, &out.base);
    }
    wr_arena_deinit(&arena);
    return rc;
}

static const struct wr_proto proto = {.on_frame = on_frame};

/* One pair there and back; whatever is refused ends as an error or as a closed connection. */
static int exchange(const struct wr_heap *heap, void *arg)
{
    struct conn_kit k;
    struct wr_server *server = NULL;
    int fds[2];
    char in[64];
    struct wr_server_options o = {
        .conn = {.proto = &proto, .codec = &varint}
    };
    (void)arg;
    int rc = conn_kit_init(&k, heap);
    if (rc)
        return rc;
    wr_arena_source_init(&arenas, wr_loop_mem(k.loop), &k.budget, wr_loop_blocks(k.loop));
    rc = kit_pair(fds) ? wr_server_open(k.loop, &o, &server) : 1;
    rc = rc ? rc : wr_server_adopt(server, fds[0]);
    if (rc == 0) {
        static const char ask[] = "\x0d\x0a\4name\x12\5weir",
                          want[] = "\x0d\x0a\4weir\x12\5name";
        result = 0;
        bool sent = kit_write(&k, fds[1], ask, sizeof ask);
        size_t got = sent ? kit_read(&k, fds[1], in, sizeof want, 1000) : 0;
        rc = got == sizeof want && !memcmp(in, want, sizeof want) ? 0
             : result                                             ? result
                                                                  : -ENOMEM;
    }
    if (!server)
        close(fds[0]);
    close(fds[1]);
    wr_server_close(&server);
    kit_turns(&k, 3);
    wr_arena_source_deinit(&arenas);
    conn_kit_deinit(&k);
    return rc;
}

int main(void)
{
    struct conn_kit k;
    struct wr_server *server;
    int fds[2];
    uint8_t out[4096], in[4096];
    uint32_t numbers[100];
    struct wr_server_options o = {
        .conn = {.proto = &proto, .codec = &varint}
    };
    if (conn_kit_init(&k, wr_heap_libc()) || !kit_pair(fds))
        return 99;
    wr_arena_source_init(&arenas, wr_loop_mem(k.loop), &k.budget, wr_loop_blocks(k.loop));
    is_int(wr_server_open(k.loop, &o, &server), 0, "server");
    is_int(wr_server_adopt(server, fds[0]), 0, "connection");

    Test__Pair ask = TEST__PAIR__INIT;
    for (size_t i = 0; i < WR_ARRAY_LEN(numbers); i++)
        numbers[i] = (uint32_t)i * 7;
    ask.key = strdup("name");
    ask.has_value = true;
    ask.value.data = (uint8_t *)strdup("weir");
    ask.value.len = 5;
    ask.n_numbers = WR_ARRAY_LEN(numbers);
    ask.numbers = numbers;
    size_t n = test__pair__pack(&ask, out + 2);
    ok(n >= 128 && n < 4000, "two bytes of length");
    out[0] = (uint8_t)(n | 0x80);
    out[1] = (uint8_t)(n >> 7);
    ok(kit_write(&k, fds[1], (char *)out, n + 2), "sent");
    is_int(kit_read(&k, fds[1], (char *)in, n + 2, 1000), n + 2, "answered");
    Test__Pair *answer = test__pair__unpack(NULL, n, in + 2);
    ok(answer != NULL, "a message");
    if (answer) {
        is_str(answer->key, "weir", "exchanged");
        is_str((char *)answer->value.data, "name", "both");
        is_int(answer->n_numbers, WR_ARRAY_LEN(numbers), "numbers");
        ok(!memcmp(answer->numbers, numbers, sizeof numbers), "as they were");
        test__pair__free_unpacked(answer, NULL);
    }
    ok(kit_write(&k, fds[1], "\3\377\377\377", 4), "nonsense");
    is_int(kit_read(&k, fds[1], (char *)in, 1, 1000), 0, "ends the connection");
    is_int(result, WR_E_PROTO, "as a breach of the protocol");
    free(ask.key);
    free(ask.value.data);
    close(fds[1]);
    wr_server_close(&server);
    kit_turns(&k, 3);
    wr_arena_source_deinit(&arenas);
    conn_kit_deinit(&k);
    nth_every("a message there and back", exchange, NULL);
    nth_random("a message there and back", exchange, NULL, 10, 100);
    return tap_done();
}
