/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look_disk.c"

#include "tests/tap.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- mountinfo -------------------------------------------------------------------------------------- */
static bool is_mount(const char *line, const char *dir, const char *type, bool read_only)
{
    struct proc_mount m;
    return proc_mount_line(wr_span_str(line), 36, &m) && wr_span_eq(m.dir, wr_span_str(dir)) &&
           wr_span_eq(m.type, wr_span_str(type)) && m.read_only == read_only;
}

static void test_mounts(void)
{
    struct proc_mount m;
    ok(is_mount("36 35 98:0 / /var/log rw,noatime shared:1 master:2 - ext4 /dev/sda1 rw",
                "/var/log", "ext4", false),
       "with optional fields");
    ok(is_mount("36 35 0:40 / /tmp ro,nosuid - tmpfs none rw,size=64k", "/tmp", "tmpfs", true),
       "a mount that is read-only");
    ok(is_mount("36 35 0:40 / /tmp rw - ext4 /dev/sda1 ro,errors=remount-ro", "/tmp", "ext4",
                true),
       "a disk that is");
    ok(is_mount("36 35 0:40 / /tmp rw,root=x - tmpfs none rw,mode=ro1", "/tmp", "tmpfs", false),
       "what only looks like it");
    ok(!proc_mount_line(WR_LIT("37 36 0:40 / /tmp rw - tmpfs none rw"), 36, &m),
       "another mount");
    ok(!proc_mount_line(WR_LIT("36 35 0:40 / /tmp rw"), 36, &m), "cut off");
    ok(!proc_mount_line(WR_LIT(""), 36, &m), "nothing");
    ok(is_known(WR_LIT("xfs")) && !is_known(WR_LIT("nfs4")) &&
           !is_known(WR_LIT("fuse.sshfs")) && !is_known(WR_LIT("proc")) &&
           !is_known(WR_LIT("squashfs")),
       "whom to ask");
}

/* ---- this process ----------------------------------------------------------------------------------- */
static struct facts_look look_here(void)
{
    struct facts_look l;
    uint32_t pid = (uint32_t)getpid();
    facts_look_init(&l, wr_heap_libc());
    if (look_process(&l, pid, LOOK_FDS, NULL) || facts_seal(&l) || look_disks(&l, &pid, 1)) {
        (void)printf("Bail out! this process cannot be looked at\n");
        exit(1);
    }
    facts_seal_peeks(&l);
    return l;
}

static void test_real(void)
{
    char path[] = "/tmp/look_disk.XXXXXX";
    uint32_t pid = (uint32_t)getpid();
    int fd = mkstemp(path), again = open(path, O_RDONLY);
    if (fd < 0 || again < 0 || write(fd, "12345", 5) != 5 || lseek(fd, 3, SEEK_SET) != 3)
        exit(1);
    struct facts_look a = look_here();
    const struct facts_file *f = facts_file(&a, pid, fd);
    if (!f) { /* /tmp may lie on a kind of file system that is not asked */
        ok(a.disks.n == 0 || !facts_disk(&a, a.disks.v[0].mount + 1), "no row");
        skip("no file system here that is asked");
        return;
    }
    ok(f->position == 3 && f->size == 5, "where it stands, how long it is");
    is_int(facts_fd(&a, pid, fd)->flags & O_ACCMODE, O_RDWR, "how it was opened");
    ok(!facts_file(&a, pid, again), "who only reads has no row");
    const struct facts_disk *d = facts_disk(&a, f->mount);
    ok(d && d->room > 0 && d->left <= d->free && d->free <= d->room, "its file system");
    ok(d && *facts_text(&a, d->type) && *facts_text(&a, d->dir) == '/', "has a name");
    if (write(fd, "x", 1) != 1 || unlink(path))
        exit(1);
    struct facts_look b = look_here();
    const struct facts_file *now = facts_file(&b, pid, fd);
    ok(now && now->position == 4 && now->changed_ns >= f->changed_ns, "also without a name");
    is_int(b.disks.n, a.disks.n, "each file system once");
    facts_look_deinit(&a);
    facts_look_deinit(&b);
}

int main(void)
{
    test_mounts();
    test_real();
    return tap_done();
}
