/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who may come in, by name and password: auth_basic, auth_basic_user_file.
 *
 *     auth_basic "closed site";  auth_basic_user_file conf/htpasswd;
 *
 * Reading the file and checking the password happens in a thread: formats that are worth something take
 * 50 ms and more. A check that succeeded is remembered for a minute in this worker, as a keyed hash of file,
 * name and password, and forgotten when the file has changed, which is looked at once a second.
 *
 *     request --no credentials--> 401
 *        | known, file unchanged --> in
 *        `--> thread: file, line, password --> in | 401 | 403 no file | 500
 */
#include "libweir/base/base64.h"
#include "libweir/base/err.h"
#include "libweir/base/hash.h"
#include "libweir/base/heap.h"
#include "libweir/io/log.h"
#include "libweir/io/loop.h"
#include "libweir/io/work.h"
#include "libweir/os/os.h"
#include "weir/access/delay.h"
#include "weir/access/password.h"
#include "weir/web/site.h"
#include "weir/web/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define KNOWN         256 /* successful checks remembered per worker */
#define KNOWN_WAYS    4
#define KNOWN_MS      60000
#define LOOK_MS       1000
#define FILE_MAX      (4u << 20)
#define CHECKS_MAX    256 /* waiting and running, per worker; more is answered with 503 */
#define CHECK_THREADS 4

/* ---- configuration ------------------------------------------------------------------------------------ */

struct identity { /* of a file's contents */
    uint64_t inode, size;
    int64_t s, ns;
};

struct known {
    uint64_t a, b; /* 0: free */
    struct identity file;
    uint64_t until_ms, looked_ms;
};

struct keeper { /* of a worker */
    struct wr_work_pool *pool;
    struct wr_hash_key secret[2];
    struct known known[KNOWN];
};

struct http_conf {
    struct keeper *keeper; /* set in the worker */
};

struct location_conf {
    struct web_value realm;
    struct web_value file;
};

/* ---- what is known -------------------------------------------------------------------------------------- */

static struct identity identity_of(const struct stat *st)
{
    return (struct identity){
        .inode = st->st_ino,
        .size = (uint64_t)st->st_size,
        .s = st->st_mtim.tv_sec,
        .ns = st->st_mtim.tv_nsec,
    };
}

static bool identity_same(const struct identity *a, const struct identity *b)
{
    return a->inode == b->inode && a->size == b->size && a->s == b->s && a->ns == b->ns;
}

static struct known *set_of(struct keeper *k, uint64_t a)
{
    return &k->known[a % (KNOWN / KNOWN_WAYS) * KNOWN_WAYS];
}

static bool still_valid(struct known *n, const char *path, uint64_t now_ms)
{
    struct stat st;
    if (now_ms >= n->until_ms)
        return false;
    if (now_ms - n->looked_ms < LOOK_MS)
        return true;
    n->looked_ms = now_ms;
    if (wr_os_stat(path, &st) < 0)
        return false;
    struct identity now = identity_of(&st);
    return identity_same(&now, &n->file);
}

static bool is_known(struct keeper *k, uint64_t a, uint64_t b, const char *path,
                     uint64_t now_ms)
{
    struct known *set = set_of(k, a);
    for (unsigned i = 0; i < KNOWN_WAYS; i++) {
        if (set[i].a != a || set[i].b != b)
            continue;
        if (still_valid(&set[i], path, now_ms))
            return true;
        set[i] = (struct known){0};
    }
    return false;
}

static void remember(struct keeper *k, uint64_t a, uint64_t b, const struct identity *file,
                     uint64_t now_ms)
{
    struct known *set = set_of(k, a), *at = set;
    for (unsigned i = 1; i < KNOWN_WAYS; i++)
        if (set[i].until_ms < at->until_ms)
            at = &set[i];
    *at = (struct known){a, b, *file, now_ms + KNOWN_MS, now_ms};
}

/* ---- in a thread ---------------------------------------------------------------------------------------- */

enum answer {
    ANSWER_IN,
    ANSWER_WRONG,
    ANSWER_NOBODY,  /* no such user */
    ANSWER_NO_FILE, /* err says why */
    ANSWER_BROKEN,  /* what is stored cannot be used */
};

struct check {
    struct web_req *r;
    struct keeper *keeper;
    uint64_t a, b;
    int err;
    struct identity file;
    size_t size; /* of this block */
    char *path, *user, *password;
    char text[];
};

static int read_file(const char *path, struct identity *out_id, struct wr_span *out)
{
    struct stat st;
    int fd = wr_os_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    int r = wr_os_fstat(fd, &st);
    if (!r && (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MAX))
        r = S_ISDIR(st.st_mode) ? -EISDIR : -EFBIG;
    size_t room = r ? 0 : (size_t)st.st_size, n = 0;
    char *p = r ? NULL : wr_heap_alloc(wr_os_heap(), room + 1);
    if (!r && !p)
        r = -ENOMEM;
    while (!r && n < room) {
        ssize_t got = wr_os_read(fd, p + n, room - n);
        if (got <= 0) {
            r = got < 0 ? (int)got : 0;
            break;
        }
        n += (size_t)got;
    }
    (void)wr_os_close(fd);
    if (r && p)
        wr_heap_free(wr_os_heap(), p, room + 1);
    if (r)
        return r;
    *out_id = identity_of(&st);
    *out = wr_span(p, n);
    return 0;
}

static int check_run(void *arg)
{
    struct check *c = arg;
    struct wr_span file, stored;
    c->err = read_file(c->path, &c->file, &file);
    if (c->err)
        return ANSWER_NO_FILE;
    int answer = ANSWER_NOBODY;
    if (password_find(file, wr_span_str(c->user), &stored)) {
        c->err = password_check(c->password, stored);
        answer = c->err == 1 ? ANSWER_IN : c->err == 0 ? ANSWER_WRONG : ANSWER_BROKEN;
    }
    wr_heap_free(wr_os_heap(), (char *)(uintptr_t)file.p, (size_t)c->file.size + 1);
    return answer;
}

static void check_drop(void *arg)
{
    struct check *c = arg;
    size_t size = c->size;
    explicit_bzero(c, size);
    wr_heap_free(wr_os_heap(), c, size);
}

/* ---- run time ----------------------------------------------------------------------------------------- */

static int challenge(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, auth_basic);
    struct wr_span realm;
    static const struct wr_span begin = WR_LIT("Basic realm=\"");
    if (web_value_eval(r, &conf->realm, &realm) < 0)
        return 500;
    char *p = wr_arena_alloc(r->arena, begin.n + realm.n + 1);
    if (!p)
        return 500;
    memcpy(p, begin.p, begin.n);
    memcpy(p + begin.n, realm.p, realm.n);
    p[begin.n + realm.n] = '"';
    if (web_header_add(r, WR_LIT("WWW-Authenticate"), wr_span(p, begin.n + realm.n + 1)) < 0)
        return 500;
    return access_unauthorized(r);
}

static int no_file(struct web_req *r, const struct check *c)
{
    bool missing = c->err == -ENOENT;
    web_error(r, missing ? WR_LOG_ERROR : WR_LOG_CRIT, c->err, "open() \"%s\" failed", c->path);
    return missing ? 403 : 500;
}

static int conclude(struct web_req *r, const struct check *c, int answer)
{
    switch ((enum answer)answer) {
    case ANSWER_IN:
        remember(c->keeper, c->a, c->b, &c->file, wr_loop_now_ms(web_loop(r)));
        return WEB_OK;
    case ANSWER_WRONG:
        web_error(r, WR_LOG_ERROR, 0, "user \"%s\": password mismatch", c->user);
        return challenge(r);
    case ANSWER_NOBODY:
        web_error(r, WR_LOG_ERROR, 0, "user \"%s\" was not found in \"%s\"", c->user, c->path);
        return challenge(r);
    case ANSWER_NO_FILE:
        return no_file(r, c);
    case ANSWER_BROKEN:
        break;
    }
    web_error(r, WR_LOG_CRIT, 0,
              "user \"%s\": the stored password in \"%s\" cannot be used: %s", c->user, c->path,
              wr_err_text(c->err));
    return 500;
}

/* A negative result: the request has gone, or the worker goes. */
static void check_done(void *arg, int result)
{
    struct check *c = arg;
    if (result < 0)
        return;
    struct web_req *r = c->r;
    int rc = conclude(r, c, result);
    if (rc != WEB_LATER)
        web_resume(r, rc);
}

static int submit(struct web_req *r, struct keeper *k, uint64_t a, uint64_t b,
                  struct wr_span path, struct wr_span user, struct wr_span password)
{
    size_t size = sizeof(struct check) + path.n + user.n + password.n + 3;
    struct check *c = wr_heap_zalloc(wr_os_heap(), size);
    if (!c)
        return 503;
    *c = (struct check){.r = r, .keeper = k, .a = a, .b = b, .size = size};
    c->path = c->text;
    c->user = c->path + path.n + 1;
    c->password = c->user + user.n + 1;
    memcpy(c->path, path.p, path.n);
    memcpy(c->user, user.p, user.n);
    memcpy(c->password, password.p, password.n);
    if (wr_work_submit(k->pool, r->scope, check_run, check_done, check_drop, c) == 0)
        return WEB_LATER;
    check_drop(c);
    web_error(r, WR_LOG_ERROR, 0, "too many password checks at a time");
    return 503;
}

/* name:password as sent; false: none, or not such a text. */
static bool credentials(struct web_req *r, struct wr_span *out)
{
    struct wr_span s = r->head ? wr_head_get(r->head, WR_H_AUTHORIZATION) : (struct wr_span){0};
    if (s.n < 7 || !wr_span_ieq(wr_span_sub(s, 0, 6), WR_LIT("Basic ")))
        return false;
    s = wr_span_trim(wr_span_sub(s, 6, s.n));
    char *p = wr_arena_alloc(r->arena, s.n + 1);
    size_t n = 0;
    if (!p || wr_base64_decode(s, false, p, &n))
        return false;
    *out = wr_span(p, n);
    return wr_span_find_char(*out, ':') > 0 && wr_span_find_char(*out, 0) < 0;
}

/* One text of all that a check depends on; neither part has a NUL inside. */
static int check_key(struct web_req *r, struct wr_span path, struct wr_span login,
                     struct wr_span *out)
{
    char *p = wr_arena_alloc(r->arena, path.n + 1 + login.n);
    if (!p)
        return -ENOMEM;
    memcpy(p, path.p, path.n);
    p[path.n] = 0;
    memcpy(p + path.n + 1, login.p, login.n);
    *out = wr_span(p, path.n + 1 + login.n);
    return 0;
}

static int user_file(struct web_req *r, const struct location_conf *conf, struct wr_span *out)
{
    struct wr_span text, prefix = r->server->generation->prefix;
    int err = web_value_eval(r, &conf->file, &text);
    if (err || (text.n && text.p[0] == '/')) {
        *out = text;
        return err;
    }
    char *p = wr_arena_alloc(r->arena, prefix.n + text.n + 1);
    if (!p)
        return -ENOMEM;
    memcpy(p, prefix.p, prefix.n);
    memcpy(p + prefix.n, text.p, text.n);
    p[prefix.n + text.n] = 0;
    *out = wr_span(p, prefix.n + text.n);
    return 0;
}

static int authenticate(struct web_req *r)
{
    const struct location_conf *conf = web_location_conf(r, auth_basic);
    const struct http_conf *http = web_main_conf(r, auth_basic);
    struct keeper *k = http->keeper;
    struct wr_span realm, login, path, key;
    if (web_value_eval(r, &conf->realm, &realm) < 0)
        return 500;
    if (wr_span_eq(realm, WR_LIT("off")))
        return WEB_NEXT;
    if (!credentials(r, &login)) {
        web_error(r, WR_LOG_INFO, 0, "no user/password was provided for basic authentication");
        return challenge(r);
    }
    if (user_file(r, conf, &path) < 0 || check_key(r, path, login, &key) < 0)
        return 500;
    uint64_t a = wr_hash_span(k->secret[0], key), b = wr_hash_span(k->secret[1], key);
    if (is_known(k, a, b, path.p, wr_loop_now_ms(web_loop(r))))
        return WEB_OK;
    size_t colon = (size_t)wr_span_find_char(login, ':');
    return submit(r, k, a, b, path, wr_span_sub(login, 0, colon),
                  wr_span_sub(login, colon + 1, login.n));
}

static bool wanted(const struct web_location *location)
{
    const struct location_conf *conf = location->conf[WEB_auth_basic];
    bool off = web_value_constant(&conf->realm) && wr_span_eq(conf->realm.text, WR_LIT("off"));
    return conf->realm.text.p && conf->file.text.p && !off;
}

/* ---- a worker's ----------------------------------------------------------------------------------------- */

static int start(struct web_worker *w, struct web_generation *g)
{
    struct http_conf *http = web_generation_main(g, WEB_auth_basic);
    const struct web_location *l;
    uint32_t cursor = 0;
    bool used = false;
    while (http && (l = web_location_next(g, &cursor)) != NULL)
        used |= wanted(l);
    if (!used)
        return 0;
    struct keeper *k = wr_heap_zalloc(wr_os_heap(), sizeof *k);
    if (!k)
        return -ENOMEM;
    int r = wr_os_random(k->secret, sizeof k->secret);
    if (r >= 0)
        r = wr_work_pool_new(
            w->loop,
            &(struct wr_work_options){.threads = CHECK_THREADS, .max_jobs = CHECKS_MAX},
            &k->pool);
    if (r < 0) {
        wr_heap_free(wr_os_heap(), k, sizeof *k);
        return r;
    }
    http->keeper = k;
    return 0;
}

static void stop(struct web_worker *w, struct web_generation *g)
{
    struct http_conf *http = web_generation_main(g, WEB_auth_basic);
    (void)w;
    if (!http || !http->keeper)
        return;
    wr_work_pool_free(&http->keeper->pool);
    wr_heap_free(wr_os_heap(), http->keeper, sizeof *http->keeper);
    http->keeper = NULL;
}

/* ---- setters ------------------------------------------------------------------------------------------ */

/* web_set_value is all it takes. */

/* ---- tables ------------------------------------------------------------------------------------------- */

#define ANYWHERE (CONF_HSL | CONF_LIMIT_EXCEPT)

static const struct conf_row rows[] = {
    {"auth_basic", ANYWHERE, 1, 1, 0, CONF_AT_LOCATION, web_set_value,
     CONF_FIELD(struct location_conf, realm), NULL, NULL, "realm | off",
     "Asks for a name and a password."},
    {"auth_basic_user_file",           ANYWHERE, 1, 1, 0, CONF_AT_LOCATION, web_set_value,
     CONF_FIELD(struct location_conf, file), NULL, NULL, "file",
     "Where names and passwords are kept, name:password[:comment]."},
    {0          },
};

static const struct web_phase_row phases[] = {
    {WEB_ACCESS, authenticate, wanted},
    {0   },
};

/* ---- the module --------------------------------------------------------------------------------------- */

const struct web_module auth_basic_module = {
    .conf = {.name = "http_auth_basic",
             .size = {[CONF_AT_HTTP] = sizeof(struct http_conf),
                      [CONF_AT_LOCATION] = sizeof(struct location_conf)},
             .rows = rows},
    .phases = phases,
    .start = start,
    .stop = stop,
};
