/* The segment's file: made, taken over, replaced, refused. */
#include "clock.h"
#include "metrics.h"
#include "places.h"
#include "ring.h"
#include "scoreboard.h"
#include "shm_fixture.h"
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *path_of(const struct shm_fixture *f)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/aigw.shm", f->folder);
    return path;
}

static void create(struct shm_fixture *f, uint32_t table)
{
    struct error err;
    if (segment_create(&f->s, f->folder, table, &err) < 0)
        fail_msg("%s", err.text);
}

static void made_whole_and_private(void **state)
{
    struct shm_fixture *f = *state;
    struct stat st;
    assert_int_equal(stat(path_of(f), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal((uint64_t)st.st_size, f->s.header->size);
    assert_true((uint64_t)st.st_blocks * 512 >= f->s.header->size);
    assert_int_equal(f->s.header->master_pid, getpid());
    assert_true(f->s.header->segment_id != 0);
    assert_true(f->s.header->secret[0] != 0 || f->s.header->secret[1] != 0);
    assert_null(segment_line(&f->s, MAX_SLOTS));
    assert_null(segment_ring(&f->s, MAX_SLOTS));
    for (uint32_t i = 0; i < MAX_SLOTS; i += 2047) {
        memset(segment_line(&f->s, i), 0, SHM_LINE_BYTES); /* all of it is mapped */
        memset(segment_ring(&f->s, i), 0, sizeof(struct shm_ring));
        memset(segment_metrics(&f->s, i), 0, sizeof(struct shm_metrics));
        assert_int_equal((uintptr_t)segment_ring(&f->s, i) % 64, 0);
        assert_int_equal((uintptr_t)segment_metrics(&f->s, i) % 64, 0);
    }
    assert_int_equal((uintptr_t)segment_slots(&f->s) % 64, 0);
    assert_true((char *)(segment_slots(&f->s) + FIXTURE_TABLE) <= (char *)f->s.header + f->s.size);
}

static void small_at_defaults_and_quick(void **state)
{
    struct shm_fixture *f = *state;
    struct segment s;
    struct error err;
    segment_detach(&f->s);
    int64_t start = clock_mono_ns();
    assert_int_equal(segment_create(&s, f->folder, 65536, &err), 0);
    assert_true(clock_mono_ns() - start < 2 * NS_PER_SEC); /* a few ms; not when the machine is loaded */
    assert_true(s.size <= 32 << 20);
    segment_detach(&s);
}

static void impossible_tables(void **state)
{
    struct shm_fixture *f = *state;
    static const uint32_t sizes[] = {0, 1, 32, 1000, 65537, SHM_MAX_TABLE * 2, UINT32_MAX};
    struct segment s;
    struct error err;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_int_equal(segment_create(&s, f->folder, sizes[i], &err), -1);
}

static void one_master_at_a_time(void **state)
{
    struct shm_fixture *f = *state;
    struct segment s;
    struct error err;
    assert_int_equal(segment_create(&s, f->folder, FIXTURE_TABLE, &err), -1);
    assert_non_null(strstr(err.text, "another aigw"));
    assert_null(s.header);
}

/* What stays and what ends when a new master takes over. */
static void taken_over(void **state)
{
    struct shm_fixture *f = *state;
    uint64_t id = f->s.header->segment_id;
    struct shm_line *w = segment_line(&f->s, 16);
    struct shm_slot *key = table_get(&f->s, w, 0, table_id(&f->s, TABLE_KEY, STR("k")));
    struct shm_slot *provider = table_get(&f->s, w, 1, table_id(&f->s, TABLE_PROVIDER, STR("p")));
    struct shm_slot *series = table_get(&f->s, w, 2, table_id(&f->s, TABLE_SERIES, STR("s")));
    uint32_t at[3] = {table_index(&f->s, key), table_index(&f->s, provider), table_index(&f->s, series)};
    scoreboard_enter(&f->s, 16, "worker", 1, 1);
    assert_int_equal(places_take(&f->s, 16, 0, key, 5), 1);
    assert_int_equal(places_take(&f->s, 16, 1, provider, 5), 1);
    w->refs[3] = 9;
    w->inserting = 1;
    key->limit.rpm_tat = 123;
    series->series.input = 456; /* the word where others have their places */
    ring_entry(&f->s, 16)->time_us = clock_wall_us();
    ring_begin(&f->s, 16);
    scoreboard_enter(&f->s, 17, "worker", 1, 1);
    metric_add(&segment_metrics(&f->s, 16)->requests_total, 3);
    f->s.header->insert_gate = 1;
    f->s.header->table_used = 99;
    f->s.header->connections = 5;

    segment_detach(&f->s);
    create(f, FIXTURE_TABLE);
    assert_int_equal(f->s.header->segment_id, id);
    w = segment_line(&f->s, 16);
    assert_int_equal(w->state, LINE_SETTLED);
    assert_int_equal(w->held[0] + w->held[1] + w->refs[3] + w->inserting, 0);
    assert_true(w->place_seq > 0);
    assert_int_equal(segment_line(&f->s, 17)->state, LINE_FREE);
    assert_int_equal(places_count(&segment_slots(&f->s)[at[0]].limit.places), 0);
    assert_int_equal(places_count(&segment_slots(&f->s)[at[1]].health.places), 0);
    assert_int_equal(segment_slots(&f->s)[at[0]].limit.rpm_tat, 123);
    assert_int_equal(segment_slots(&f->s)[at[2]].series.input, 456);
    assert_int_equal(f->s.header->insert_gate, 0);
    assert_int_equal(f->s.header->table_used, 3);
    assert_int_equal(f->s.header->connections, 0);
    assert_int_equal(metrics_sum(&f->s, offsetof(struct shm_metrics, requests_total)), 3);
    struct usage_row row;
    uint64_t seq;
    assert_int_equal(ring_open_row(&f->s, 16, &row, &seq), 1);
}

static void replaced_when_it_is_not_ours(void **state)
{
    struct shm_fixture *f = *state;
    for (int i = 0; i < 6; i++) {
        uint64_t id = f->s.header->segment_id;
        struct segment old = f->s; /* a reader that still has it mapped */
        struct shm_header *h = f->s.header;
        uint32_t table = FIXTURE_TABLE;
        switch (i) {
        case 0:
            h->boot_id[0] ^= 1;
            break;
        case 1:
            h->layout_hash++;
            break;
        case 2:
            table *= 2;
            break;
        case 3:
            h->state = SHM_EMPTY;
            break;
        case 4:
            h->magic = 0;
            break;
        case 5:
            h->rings_at += 64;
            break;
        }
        close(f->s.fd);
        create(f, table);
        assert_true(f->s.header->segment_id != id);
        assert_int_equal(f->s.header->table_slots, table);
        assert_int_equal(old.header->segment_id, id); /* its pages are still there */
        old.fd = -1;
        segment_detach(&old);
        if (i == 2) {
            segment_detach(&f->s);
            create(f, FIXTURE_TABLE);
        }
    }
}

static void never_through_a_link_or_another_kind_of_file(void **state)
{
    struct shm_fixture *f = *state;
    struct segment s;
    struct error err;
    char target[128];
    snprintf(target, sizeof target, "%s/elsewhere", f->folder);
    segment_detach(&f->s);
    unlink(path_of(f));
    assert_int_equal(symlink(target, path_of(f)), 0);
    assert_int_equal(segment_create(&s, f->folder, FIXTURE_TABLE, &err), -1);
    assert_int_equal(access(target, F_OK), -1);
    unlink(path_of(f));
    assert_int_equal(mkfifo(path_of(f), 0600), 0);
    assert_int_equal(segment_create(&s, f->folder, FIXTURE_TABLE, &err), -1);
    assert_int_equal(segment_attach(&s, path_of(f), false, &err), -1);
    unlink(path_of(f));
    assert_int_equal(mkdir(path_of(f), 0700), 0);
    assert_int_equal(segment_create(&s, f->folder, FIXTURE_TABLE, &err), -1);
    assert_int_equal(segment_attach(&s, path_of(f), false, &err), -1);
    rmdir(path_of(f));
    assert_int_equal(segment_attach(&s, path_of(f), false, &err), -1);
    assert_int_equal(segment_create(&s, "/nonexistent/folder", FIXTURE_TABLE, &err), -1);
}

/* As root starts again: the file was given to the user that owns run_dir. */
static void a_file_of_another_user(void **state)
{
    struct shm_fixture *f = *state;
    struct segment s;
    struct error err;
    if (geteuid() != 0)
        skip();
    uint64_t id = f->s.header->segment_id;
    segment_detach(&f->s);
    assert_int_equal(chown(path_of(f), 12345, 12345), 0);
    assert_int_equal(segment_create(&s, f->folder, FIXTURE_TABLE, &err), -1);
    assert_int_equal(chown(f->folder, 12345, 12345), 0);
    create(f, FIXTURE_TABLE);
    assert_int_equal(f->s.header->segment_id, id);
}

static void linked_from_a_folder_on_disk(void **state)
{
    (void)state;
    char folder[] = "/var/tmp/aigw-unit-XXXXXX", link[128], target[256];
    struct segment s, reader;
    struct error err;
    assert_non_null(mkdtemp(folder));
    snprintf(link, sizeof link, "%s/aigw.shm", folder);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(segment_create(&s, folder, FIXTURE_TABLE, &err), 0);
        assert_int_equal(segment_attach(&reader, link, false, &err), 0);
        assert_int_equal(reader.header->segment_id, s.header->segment_id);
        segment_detach(&reader);
        segment_detach(&s);
    }
    ssize_t n = readlink(link, target, sizeof target - 1);
    if (n > 0) { /* /var/tmp is on a disk, as nearly everywhere */
        target[n] = 0;
        assert_int_equal(strncmp(target, "/dev/shm/aigw-", 14), 0);
        unlink(target);
    }
    unlink(link);
    rmdir(folder);
}

static void readers(void **state)
{
    struct shm_fixture *f = *state;
    struct segment s;
    struct error err;
    assert_int_equal(segment_attach(&s, path_of(f), false, &err), 0);
    assert_int_equal(s.fd, -1);
    assert_int_equal(s.table_slots, FIXTURE_TABLE);
    segment_metrics(&f->s, 0)->requests_total = 5;
    assert_int_equal(segment_metrics(&s, 0)->requests_total, 5);
    segment_detach(&s);
    assert_int_equal(segment_attach(&s, path_of(f), true, &err), 0);
    segment_metrics(&s, 0)->requests_total = 6;
    assert_int_equal(segment_metrics(&f->s, 0)->requests_total, 6);
    segment_detach(&s);
    assert_int_equal(segment_snapshot(&s, path_of(f), &err), 0);
    segment_metrics(&f->s, 0)->requests_total = 7;
    assert_int_equal(segment_metrics(&s, 0)->requests_total, 6);
    segment_detach(&s);
}

/* Each field of the header, changed: refused by both kinds of readers. */
static void hostile_headers(void **state)
{
    struct shm_fixture *f = *state;
    struct shm_header *h = f->s.header, good = *h;
    struct segment s;
    struct error err;
    for (int i = 0; i < 14; i++) {
        void *const fields[] = {&h->magic,    &h->version,     &h->layout_hash, &h->size,     &h->size,
                                &h->slots,    &h->table_slots, &h->lines_at,    &h->slabs_at, &h->rings_at,
                                &h->table_at, &h->state,       &h->table_slots, &h->stage_at};
        if (i == 4)
            h->size = UINT64_MAX;
        else if (i == 12)
            h->table_slots = 0;
        else
            (*(unsigned char *)fields[i]) ^= 0x80;
        if (segment_attach(&s, path_of(f), false, &err) == 0 || segment_snapshot(&s, path_of(f), &err) == 0)
            fail_msg("field %d", i);
        memcpy(h, &good, sizeof good);
    }
    memset(h->boot_id, 'x', sizeof h->boot_id);
    assert_int_equal(segment_attach(&s, path_of(f), false, &err), -1);
    memcpy(h, &good, sizeof good);
    h->segment_id = 0;
    assert_int_equal(segment_attach(&s, path_of(f), false, &err), -1);
    memcpy(h, &good, sizeof good);
    assert_int_equal(segment_attach(&s, path_of(f), false, &err), 0);
    segment_detach(&s);
    for (off_t size = (off_t)good.size; size > 0; size = size * 2 / 3) {
        assert_int_equal(truncate(path_of(f), size - 1), 0);
        assert_int_equal(segment_attach(&s, path_of(f), false, &err), -1);
        assert_int_equal(segment_snapshot(&s, path_of(f), &err), -1);
    }
}

/* A child of the former master that still lives is waited for, then killed: it might give back a place. */
static void late_children_are_ended_first(void **state)
{
    struct shm_fixture *f = *state;
    int to[2];
    char c;
    assert_int_equal(pipe(to), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(f->s.fd);
        scoreboard_enter(&f->s, 18, "worker", 1, clock_mono_ns() + 10 * NS_PER_MS); /* ticks are 10 ms */
        if (write(to[1], "x", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    assert_int_equal(read(to[0], &c, 1), 1);
    segment_line(&f->s, 19)->pid = 1; /* lives, but did not start when that line says */
    segment_line(&f->s, 19)->started_ns = -1;
    segment_line(&f->s, 19)->state = LINE_IDLE;
    segment_detach(&f->s);
    create(f, FIXTURE_TABLE);
    int status;
    assert_int_equal(waitpid(pid, &status, WNOHANG), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(segment_line(&f->s, 18)->state, LINE_FREE);
    close(to[0]);
    close(to[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHM_TEST(made_whole_and_private),
        SHM_TEST(small_at_defaults_and_quick),
        SHM_TEST(impossible_tables),
        SHM_TEST(one_master_at_a_time),
        SHM_TEST(taken_over),
        SHM_TEST(replaced_when_it_is_not_ours),
        SHM_TEST(never_through_a_link_or_another_kind_of_file),
        SHM_TEST(a_file_of_another_user),
        cmocka_unit_test(linked_from_a_folder_on_disk),
        SHM_TEST(readers),
        SHM_TEST(hostile_headers),
        SHM_TEST(late_children_are_ended_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
