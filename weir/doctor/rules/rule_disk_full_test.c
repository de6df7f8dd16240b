/* SPDX-License-Identifier: BSD-2-Clause */
/* disk-full: which file on a full file system is a disease, and how bad. */
#include "weir/doctor/rules/judge_test.h"

#include <fcntl.h>

#define MIB (1ULL << 20)

struct a_file {
    const char *path;
    uint32_t flags;
    uint64_t position, size; /* at the second look */
    uint64_t grew, tried;    /* bytes, ns between the looks */
    uint32_t uid;
    int fd; /* 0: 5 */
    bool is_new;
};

static const struct facts_disk full = {.room = 64 * MIB, .mount = 3};
static const struct a_file a_log = {
    .path = "/var/log/access.log", .flags = O_WRONLY | O_APPEND, .position = 900, .size = 900};

static uint32_t text_at(int which, const char *s)
{
    uint32_t at;
    if (facts_text_add(tap_look(which), wr_span_str(s), &at))
        abort();
    return at;
}

static void put_disk(int which, struct facts_disk d, const char *type)
{
    d.type = text_at(which, type);
    d.dir = text_at(which, "/var/log");
    TAP_ADD(which, disks, &d);
}

static void put_file(int which, const struct a_file *f)
{
    int number = f->fd ? f->fd : 5;
    struct facts_fd fd = {.pid = TAP_PID,
                          .fd = number,
                          .kind = FACTS_FD_FILE,
                          .path = text_at(which, f->path),
                          .flags = f->flags};
    struct facts_file row = {.pid = TAP_PID,
                             .fd = number,
                             .mount = 3,
                             .position = f->position - (which ? 0 : f->grew),
                             .size = f->size - (which ? 0 : f->grew),
                             .changed_ns = 1000000000 + (which ? f->tried : 0)};
    if (f->is_new && which == 0)
        return;
    TAP_ADD(which, fds, &fd);
    TAP_ADD(which, files, &row);
}

static void begin(uint32_t uid)
{
    tap_fresh();
    for (int w = 0; w < 2; w++) {
        tap_process(w, (struct facts_process){.uid = uid});
        tap_look(w)->wall_ms = 31000;
    }
}

/* One file on one file system, as it was and as it is. */
static const struct finding *found_on(struct facts_disk was, struct facts_disk now,
                                      const char *type, struct a_file f)
{
    begin(f.uid);
    put_disk(0, was, type);
    put_disk(1, now, type);
    for (int w = 0; w < 2; w++)
        put_file(w, &f);
    tap_judge();
    return tap_found(RULE_DISK_FULL);
}

static const struct finding *found_full(struct a_file f)
{
    return found_on(full, full, "xfs", f);
}

static void is_found(const struct finding *f, enum severity s, enum certainty c,
                     const char *what)
{
    is_int(f->severity, s, "%s: severity", what);
    is_int(f->certainty, c, "%s: certainty", what);
}

#define IS_NOTHING(f, what) is_int((f)->rule, RULE_COUNT, "%s", what)

static const char *text_of(enum evidence_name name)
{
    const struct evidence *e = finding_evidence(tap_found(RULE_DISK_FULL), name);
    return e ? e->text : "";
}

static void test_log(void)
{
    struct a_file f = a_log;
    is_found(found_full(f), SEVERITY_WARN, CERTAINTY_LIKELY, "a log, quiet");
    is_str(text_of(EVIDENCE_DISK), "/var/log (xfs)", "where");
    is_str(text_of(EVIDENCE_FILE), "/var/log/access.log", "which file");
    is_str(text_of(EVIDENCE_WRITES_REFUSED), "", "nothing was tried");
    is_int(tap_value(RULE_DISK_FULL, EVIDENCE_DISK_LEFT), 0, "nothing left");
    is_int(tap_value(RULE_DISK_FULL, EVIDENCE_TRIED_MS), 30000,
           "last written half a minute ago");
    f.tried = 5000000;
    is_found(found_full(f), SEVERITY_CRIT, CERTAINTY_PROOF, "tried, and nothing arrived");
    ok(*text_of(EVIDENCE_WRITES_REFUSED), "that is told");
    f.grew = 100;
    is_found(found_full(f), SEVERITY_CRIT, CERTAINTY_PROOF, "it grows into the last block");
    f = a_log;
    f.flags = O_WRONLY;
    f.fd = 2;
    is_found(found_full(f), SEVERITY_WARN, CERTAINTY_LIKELY, "a standard stream");
}

static void test_others(void)
{
    struct a_file f = {.path = "/var/lib/db", .flags = O_RDWR, .position = 0, .size = 4096};
    is_found(found_full(f), SEVERITY_INFO, CERTAINTY_HINT, "a file of fixed size");
    f.tried = 1;
    is_found(found_full(f), SEVERITY_INFO, CERTAINTY_HINT, "written in its midst");
    f.position = 4096;
    is_found(found_full(f), SEVERITY_CRIT, CERTAINTY_LIKELY, "tried at its end");
    f.tried = 0;
    is_found(found_full(f), SEVERITY_INFO, CERTAINTY_HINT,
             "a pid file stands at its end for good");
    f.is_new = true;
    is_found(found_full(f), SEVERITY_WARN, CERTAINTY_LIKELY, "it makes files there");
}

static void test_room(void)
{
    struct facts_disk some = full;
    some.left = some.free = MIB;
    IS_NOTHING(found_on(some, some, "xfs", a_log), "a megabyte is left");
    IS_NOTHING(found_on(some, full, "xfs", a_log), "full only at the second look");
    IS_NOTHING(found_on(full, some, "xfs", a_log), "full only at the first");
    some.left = some.free = 60 << 10;
    is_found(found_on(some, some, "xfs", a_log), SEVERITY_WARN, CERTAINTY_LIKELY, "crumbs");
    some.room = MIB;
    IS_NOTHING(found_on(some, some, "tmpfs", a_log), "of a small one they are none");
    some = full;
    some.mount = 4;
    IS_NOTHING(found_on(some, some, "xfs", a_log), "another one is full");
}

/* What ext keeps for root is room for root only. */
static void test_root(void)
{
    struct facts_disk d = full;
    struct a_file f = a_log;
    d.free = 3 * MIB;
    IS_NOTHING(found_on(d, d, "ext4", f), "root has its reserve");
    f.uid = 33;
    is_found(found_on(d, d, "ext4", f), SEVERITY_WARN, CERTAINTY_LIKELY, "others have not");
    f.uid = 0;
    d.free = MIB;
    is_found(found_on(d, d, "ext4", f), SEVERITY_WARN, CERTAINTY_LIKELY, "used up by root too");
    d.free = 3 * MIB;
    is_found(found_on(d, d, "btrfs", f), SEVERITY_WARN, CERTAINTY_LIKELY,
             "elsewhere there is none");
}

static void test_inodes(void)
{
    struct facts_disk d = {
        .room = 64 * MIB, .free = MIB, .left = MIB, .inodes = 16, .mount = 3};
    struct a_file f = {
        .path = "/tmp/body (deleted)", .flags = O_RDWR, .position = 9, .size = 9};
    is_found(found_on(d, d, "tmpfs", f), SEVERITY_WARN, CERTAINTY_LIKELY, "temporary files");
    is_int(tap_value(RULE_DISK_FULL, EVIDENCE_INODES_LEFT), 0, "no inodes");
    is_int(tap_value(RULE_DISK_FULL, EVIDENCE_DISK_LEFT), -1, "there is room");
    is_found(found_on(d, d, "tmpfs", a_log), SEVERITY_INFO, CERTAINTY_HINT, "a log goes on");
    d.inodes_left = 1;
    IS_NOTHING(found_on(d, d, "tmpfs", f), "one is left");
    d.inodes = d.inodes_left = 0;
    IS_NOTHING(found_on(d, d, "btrfs", f), "nobody counts them");
}

/* Two files, one file system: one finding, about the worse. */
static void test_worst(void)
{
    struct a_file quiet = {.path = "/var/log/lock", .flags = O_RDWR, .fd = 4}, log = a_log;
    log.tried = 1;
    begin(0);
    for (int w = 0; w < 2; w++) {
        put_disk(w, full, "xfs");
        put_file(w, &quiet);
        put_file(w, &log);
    }
    tap_judge();
    is_int(found.n, 1, "one finding");
    is_str(text_of(EVIDENCE_FILE), "/var/log/access.log", "the worse file");
    is_int(tap_value(RULE_DISK_FULL, EVIDENCE_FILES_THERE), 2, "both are counted");
}

int main(void)
{
    test_log();
    test_others();
    test_room();
    test_root();
    test_inodes();
    test_worst();
    return tap_done();
}
