/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * board_read PID: the scoreboard of a running service, read from outside, as a doctor would: finds the shared
 * memory among the process's descriptors, attaches to it read-only, and prints every word summed over all
 * seats. "counter NAME N", "gauge NAME N", "stage NAME entered ok failed".
 */
#include "libweir/base/heap.h"
#include "libweir/io/board.h"
#include "libweir/io/shm.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_field(const struct wr_board_view *v, const struct wr_board_field *f)
{
    struct wr_stage_words sum = {0};
    int n = (int)f->name.n;
    switch (f->kind) {
    case WR_BOARD_COUNTER:
    case WR_BOARD_GAUGE:
        printf("%s %.*s %llu\n", f->kind == WR_BOARD_GAUGE ? "gauge" : "counter", n, f->name.p,
               (unsigned long long)wr_board_view_sum(v, f, 0));
        break;
    case WR_BOARD_STAGE:
        for (unsigned seat = 0; seat < v->seats; seat++) {
            struct wr_stage_words w = wr_board_view_stage(v, f, seat);
            sum.entered += w.entered;
            sum.ok += w.ok;
            sum.failed += w.failed;
        }
        printf("stage %.*s %llu %llu %llu\n", n, f->name.p, (unsigned long long)sum.entered,
               (unsigned long long)sum.ok, (unsigned long long)sum.failed);
        break;
    case WR_BOARD_HIST:
    case WR_BOARD_INFO:
        break;
    }
}

static int print_board(int fd)
{
    struct wr_shm *shm;
    struct wr_board_view view;
    struct wr_board_field field;
    const void *part;
    size_t size;
    if (wr_shm_attach(wr_heap_libc(), fd, false, &shm))
        return -1;
    int rc = wr_shm_find(wr_shm_base(shm), wr_shm_size(shm), WR_BOARD_PART, WR_BOARD_VERSION,
                         &part, &size);
    if (rc == 0)
        rc = wr_board_view_init(&view, part, size);
    for (unsigned i = 0; rc == 0 && wr_board_view_field(&view, i, &field); i++)
        print_field(&view, &field);
    wr_shm_free(&shm);
    return rc;
}

int main(int argc, char **argv)
{
    char path[300], target[300];
    const struct dirent *e;
    if (argc != 2) {
        fprintf(stderr, "usage: board_read PID\n");
        return 2;
    }
    (void)snprintf(path, sizeof path, "/proc/%s/fd", argv[1]);
    DIR *dir = opendir(path);
    while (dir && (e = readdir(dir))) {
        (void)snprintf(path, sizeof path, "/proc/%s/fd/%s", argv[1], e->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n <= 0 || strncmp(target, "/memfd:", 7) != 0)
            continue;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        int rc = fd < 0 ? -1 : print_board(fd);
        if (fd >= 0)
            close(fd);
        if (rc == 0) {
            closedir(dir);
            return 0;
        }
    }
    fprintf(stderr, "board_read: no scoreboard in %s\n", argv[1]);
    if (dir)
        closedir(dir);
    return 1;
}
