// SPDX-License-Identifier: Apache-2.0
/* The store against a real etcd: writes, reads, watches, and everything that may happen to etcd meanwhile. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "apiserver/storage/store.h"
#include "apiserver/storage/watch_hub.h"
#include "common/base/str.h"
#include "tests/unit/storage/etcd_fixture.h"

static const struct store_field pod_fields[] = {
    { "spec.nodeName", NULL, NULL, NULL },
    { "status.phase", NULL, NULL, NULL },
    { "spec.hostNetwork", NULL, NULL, "false" },
};
static const struct store_resource pods = { .group = "", .resource = "pods", .shape = { true, pod_fields, 3 }, .index_field = 0 };
static const struct store_resource nodes = { .group = "", .resource = "nodes", .shape = { false, NULL, 0 }, .index_field = -1 };
static const struct store_resource events = { .group = "", .resource = "events", .shape = { true, NULL, 0 }, .index_field = -1, .ttl_s = 60 };

static struct etcd_fixture fixture;

struct side { /* one apiserver's view */
    struct etcd *etcd;
    struct storage *st;
    struct store *pods, *nodes, *events;
    struct hub_port *port;
};

static void
no_wake(void *arg)
{
}

static void
side_open(struct side *s, const struct storage_config *base)
{
    struct etcd_config ec = { .patience_ms = 5000 };
    struct storage_config sc = base ? *base : (struct storage_config){ 0 };

    strlist_add(&ec.endpoints, fixture.url);
    assert_null(etcd_new(&ec, &s->etcd));
    strlist_done(&ec.endpoints);
    sc.etcd = s->etcd;
    s->st = storage_new(&sc);
    s->pods = storage_add(s->st, &pods);
    s->nodes = storage_add(s->st, &nodes);
    s->events = storage_add(s->st, &events);
    s->port = hub_port_new(s->st, no_wake, NULL);
    storage_start(s->st);
    assert_true(storage_wait_ready(s->st, 20000));
}

static void
side_close(struct side *s)
{
    hub_port_free(s->port);
    storage_free(s->st);
    etcd_free(s->etcd);
}

#define assert_no_err(e)                                                                           \
    do {                                                                                           \
        struct kerr *err_ = (e);                                                                   \
        if (err_)                                                                                  \
            fail_msg("%s", err_->message);                                                         \
    } while (0)

static void
assert_err(struct kerr *err, enum kerr_reason reason)
{
    assert_non_null(err);
    if (err->reason != reason)
        fail_msg("reason %s: %s", kerr_reason_name(err->reason), err->message);
    kerr_free(err);
}

static char *
pod_json(const char *ns, const char *name, const char *node, const char *app)
{
    return xasprintf("{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"uid\":\"u-%s\","
                     "\"labels\":{\"app\":\"%s\"}},\"spec\":{\"nodeName\":\"%s\"}}",
                     name, ns, name, app, node);
}

static int64_t
create(struct side *s, const char *ns, const char *name, const char *node, const char *app)
{
    AUTO_FREE char *json = pod_json(ns, name, node, app);
    AUTO(record) *rec = NULL;

    assert_no_err(store_create(s->pods, ns, name, json, strlen(json), &rec));
    return rec->revision;
}

struct change_args {
    const char *node, *app;
};

static struct kerr *
change_pod(const struct record *current, struct sbuf *out, void *arg)
{
    const struct change_args *c = arg;
    AUTO_FREE char *json = pod_json(current->ns, current->name, c->node, c->app);

    sbuf_adds(out, json);
    return NULL;
}

static int64_t
update(struct side *s, const char *ns, const char *name, const char *node, const char *app, enum store_outcome *ret)
{
    struct change_args args = { node, app };
    struct store_update u = { .ns = ns, .name = name, .fn = change_pod, .arg = &args };
    AUTO(record) *rec = NULL;

    assert_no_err(store_update(s->pods, &u, &rec, ret));
    return rec->revision;
}

static int64_t
delete(struct side *s, const char *ns, const char *name)
{
    AUTO(record) *rec = NULL;

    assert_no_err(store_delete(s->pods, ns, name, NULL, NULL, NULL, &rec));
    return rec->revision;
}

static void
fresh(struct side *s)
{
    assert_no_err(storage_wait_fresh(s->st));
}

static void
wipe(struct side *s)
{
    assert_int_equal(etcd_fixture_ctl(&fixture, "del", "--prefix", "/registry"), 0);
    fresh(s);
}

/* --- tests --- */

static void
test_create_get_update_delete(void **state)
{
    struct side s;
    enum store_outcome outcome;
    AUTO(record) *rec = NULL;
    AUTO_FREE char *json = pod_json("a", "p1", "n1", "web");
    int64_t r1, r2;

    side_open(&s, NULL);
    wipe(&s);
    r1 = create(&s, "a", "p1", "n1", "web");
    rec = store_get(s.pods, "a", "p1"); /* read your write: at once */
    assert_non_null(rec);
    assert_int_equal(rec->revision, r1);
    assert_string_equal(rec->ns, "a");
    assert_string_equal(rec->uid, "u-p1");
    assert_string_equal(rec->fields[0], "n1");
    assert_string_equal(rec->fields[2], "false");
    assert_int_equal(rec->labels.len, 1);
    AUTO_FREE char *rv = xasprintf("\"uid\":\"u-p1\",\"resourceVersion\":\"%" PRId64 "\",\"labels\"", r1);
    assert_non_null(strstr(rec->json, rv));

    record_unref(rec);
    rec = NULL;
    assert_err(store_create(s.pods, "a", "p1", json, strlen(json), &rec), KERR_ALREADY_EXISTS);
    r2 = update(&s, "a", "p1", "n1", "web", &outcome); /* the same bytes: not written */
    assert_int_equal(outcome, STORE_UNCHANGED);
    assert_int_equal(r2, r1);
    r2 = update(&s, "a", "p1", "n2", "web", &outcome);
    assert_int_equal(outcome, STORE_UPDATED);
    assert_true(r2 > r1);
    struct store_preconditions pre = { .uid = "other" };
    assert_err(store_delete(s.pods, "a", "p1", &pre, NULL, NULL, &rec), KERR_CONFLICT);
    assert_true(delete (&s, "a", "p1") > r2);
    assert_null(store_get(s.pods, "a", "p1"));
    assert_err(store_delete(s.pods, "a", "p1", NULL, NULL, NULL, &rec), KERR_NOT_FOUND);
    side_close(&s);
}

static void
test_two_servers(void **state)
{
    struct side a, b;
    AUTO(record) *rec = NULL;

    side_open(&a, NULL);
    wipe(&a);
    side_open(&b, NULL);
    for (int i = 0; i < 50; i++) {
        AUTO_FREE char *name = xasprintf("p%d", i);
        int64_t rev = create(i % 2 ? &a : &b, "x", name, "n", "web");
        struct side *other = i % 2 ? &b : &a;

        fresh(other); /* a consistent read on the other server sees it */
        rec = store_get(other->pods, "x", name);
        assert_non_null(rec);
        assert_int_equal(rec->revision, rev);
        record_unref(steal_ptr(rec));
    }
    /* Races: each side updates from what may be an old copy; none is lost. */
    enum store_outcome outcome;
    int64_t last = 0;
    for (int i = 0; i < 50; i++) {
        AUTO_FREE char *app = xasprintf("v%d", i);
        int64_t rev = update(i % 2 ? &a : &b, "x", "p0", "n", app, &outcome);

        assert_true(rev > last);
        last = rev;
    }
    side_close(&a);
    side_close(&b);
}

static void
list_all(struct store *s, const struct store_list_opts *o, struct store_list *l)
{
    bool old = false;

    assert_no_err(store_get_list(s, o, l, &old));
    if (old)
        assert_no_err(store_list_old(s, o, l));
}

static void
test_paging_is_one_state(void **state)
{
    struct storage_config sc = { .snapshot_ms = 60000 };
    struct side s;
    struct store_list_opts o = { .limit = 7 };
    struct store_list l = { 0 };
    AUTO_FREE char *token = NULL;
    int64_t first = 0;
    size_t n = 0;

    side_open(&s, &sc);
    wipe(&s);
    for (int i = 0; i < 40; i++) {
        AUTO_FREE char *name = xasprintf("p%02d", i);

        create(&s, i < 20 ? "a" : "b", name, "n", "web");
    }
    for (;;) {
        o.continue_token = token;
        list_all(s.pods, &o, &l);
        if (!first) {
            first = l.revision;
            assert_int_equal(l.remaining, 33);
        }
        assert_int_equal(l.revision, first);
        for (size_t i = 0; i < l.len; i++) {
            AUTO_FREE char *want = xasprintf("p%02zu", n + i);
            assert_string_equal(l.items[i]->name, want);
        }
        n += l.len;
        if (n == 7) { /* changes after the first page are not in later ones */
            delete (&s, "a", "p15");
            create(&s, "a", "p15x", "n", "web");
            delete (&s, "b", "p39");
        }
        free(token);
        token = l.continue_token ? xstrdup(l.continue_token) : NULL;
        store_list_done(&l);
        if (!token)
            break;
    }
    assert_int_equal(n, 40);
    o = (struct store_list_opts){ .filter = { .ns = "a" } };
    list_all(s.pods, &o, &l);
    assert_int_equal(l.len, 20);
    store_list_done(&l);
    o = (struct store_list_opts){ .filter = { .index_value = "n" }, .limit = 5 };
    list_all(s.pods, &o, &l);
    assert_int_equal(l.len, 5);
    assert_non_null(l.continue_token);
    store_list_done(&l);
    o = (struct store_list_opts){ .resource_version = first, .match = STORE_RV_EXACT };
    list_all(s.pods, &o, &l);
    assert_int_equal(l.len, 40);
    store_list_done(&l);
    side_close(&s);
}

static void
test_old_lists_and_compaction(void **state)
{
    struct storage_config sc = { .snapshot_ms = 1, .snapshots = 1 };
    struct side s;
    struct store_list_opts o = { .limit = 3 };
    struct store_list l = { 0 };
    AUTO_FREE char *token = NULL;
    int64_t first;
    bool old = false;

    side_open(&s, &sc);
    wipe(&s);
    for (int i = 0; i < 10; i++) {
        AUTO_FREE char *name = xasprintf("p%02d", i);

        create(&s, "a", name, "n", "web");
    }
    list_all(s.pods, &o, &l);
    first = l.revision;
    token = xstrdup(l.continue_token);
    store_list_done(&l);
    delete (&s, "a", "p05");
    clock_sleep_ms(5);
    o.continue_token = token;
    struct store_list_opts other = { .limit = 1 }; /* pushes the snapshot out */
    list_all(s.pods, &other, &l);
    store_list_done(&l);
    assert_no_err(store_get_list(s.pods, &o, &l, &old));
    assert_true(old);
    assert_no_err(store_list_old(s.pods, &o, &l));
    assert_int_equal(l.len, 3);
    assert_int_equal(l.revision, first);
    assert_string_equal(l.items[2]->name, "p05");
    store_list_done(&l);

    assert_no_err(etcd_compact(s.etcd, storage_revision(s.st)));
    struct kerr *err = store_list_old(s.pods, &o, &l);
    assert_non_null(err);
    assert_int_equal(err->reason, KERR_EXPIRED);
    assert_non_null(err->list_continue);
    o.continue_token = err->list_continue; /* goes on, inconsistently */
    list_all(s.pods, &o, &l);
    assert_int_equal(l.len, 3);
    assert_string_equal(l.items[2]->name, "p06");
    store_list_done(&l);
    kerr_free(err);
    o = (struct store_list_opts){ .resource_version = first, .match = STORE_RV_EXACT };
    assert_no_err(store_get_list(s.pods, &o, &l, &old));
    assert_true(old);
    assert_err(store_list_old(s.pods, &o, &l), KERR_EXPIRED);
    side_close(&s);
}

/* --- watches --- */

static bool
label_is_web(const struct record *rec, const void *ctx)
{
    for (uint32_t i = 0; i < rec->labels.len; i++)
        if (str_eq(rec->labels.items[i].key, "app"))
            return str_eq(rec->labels.items[i].value, "web");
    return false;
}

/* Pulls until `want` items came; their texts "TYPE name" joined by commas. */
static char *
pull(struct side *s, struct watcher *w, size_t want)
{
    struct sbuf text = { 0 };
    uint64_t give_up = clock_mono_ms() + 20000;
    struct watch_item item;

    for (size_t n = 0; n < want && clock_mono_ms() < give_up;) {
        hub_port_run(s->port);
        if (!watcher_next(w, &item)) {
            if (watcher_ended(w))
                break;
            clock_sleep_ms(1);
            continue;
        }
        sbuf_addf(&text, "%s%s %s", n++ ? "," : "", watch_type_name(item.type),
                  item.record ? item.record->name : item.initial_end ? "initial" : item.error ? item.error->message : "");
        if (item.type == WATCH_DELETED)
            assert_int_equal(item.record->revision, item.revision);
        watch_item_done(&item);
    }
    return sbuf_steal(&text);
}

#define assert_pull(s, w, n, text)                                                                 \
    do {                                                                                           \
        AUTO_FREE char *got_ = pull((s), (w), (n));                                                \
        assert_string_equal(got_, (text));                                                         \
    } while (0)

static void
assert_quiet(struct side *s, struct watcher *w)
{
    struct watch_item item;

    hub_port_run(s->port);
    assert_false(watcher_next(w, &item));
}

static struct watcher *
watch(struct side *s, struct store *store, struct watch_opts o)
{
    struct watcher *w = NULL;

    assert_no_err(watcher_new(s->port, store, &o, clock_mono_ms(), &w));
    return w;
}

static void
test_watch_selectors(void **state)
{
    struct side s;
    enum store_outcome outcome;
    int64_t start;

    side_open(&s, NULL);
    wipe(&s);
    create(&s, "a", "old", "n1", "web");
    start = storage_revision(s.st);
    struct watcher *all = watch(&s, s.pods, (struct watch_opts){ .resource_version = start });
    struct watcher *web = watch(&s, s.pods, (struct watch_opts){ .resource_version = start, .filter = { .match = label_is_web } });
    struct watcher *n1 = watch(&s, s.pods, (struct watch_opts){ .resource_version = start, .filter = { .index_value = "n1" } });
    struct watcher *ns = watch(&s, s.pods, (struct watch_opts){ .resource_version = start, .filter = { .ns = "b" } });
    struct watcher *one = watch(&s, s.pods, (struct watch_opts){ .resource_version = start, .filter = { .ns = "a", .name = "p" } });
    struct watcher *init = watch(&s, s.pods, (struct watch_opts){ .send_initial_events = true, .allow_bookmarks = true });
    struct watcher *empty = watch(&s, s.nodes, (struct watch_opts){ .send_initial_events = true, .allow_bookmarks = true });

    create(&s, "a", "p", "", "db");
    update(&s, "a", "p", "n1", "db", &outcome);
    update(&s, "a", "p", "n1", "web", &outcome);
    update(&s, "a", "p", "n2", "web", &outcome);
    update(&s, "a", "p", "n2", "db", &outcome);
    create(&s, "b", "q", "n1", "web");
    delete (&s, "a", "p");
    delete (&s, "b", "q");
    assert_pull(&s, all, 8, "ADDED p,MODIFIED p,MODIFIED p,MODIFIED p,MODIFIED p,ADDED q,DELETED p,DELETED q");
    assert_pull(&s, web, 5, "ADDED p,MODIFIED p,DELETED p,ADDED q,DELETED q");
    assert_pull(&s, n1, 5, "ADDED p,MODIFIED p,DELETED p,ADDED q,DELETED q");
    assert_pull(&s, ns, 2, "ADDED q,DELETED q");
    assert_pull(&s, one, 6, "ADDED p,MODIFIED p,MODIFIED p,MODIFIED p,MODIFIED p,DELETED p");
    assert_pull(&s, init, 3, "ADDED old,BOOKMARK initial,ADDED p");
    assert_pull(&s, empty, 1, "BOOKMARK initial");
    assert_quiet(&s, all);
    assert_quiet(&s, web);

    /* Resume from the start: the history is replayed, also through a selector. */
    struct watcher *again = watch(&s, s.pods, (struct watch_opts){ .resource_version = start, .filter = { .match = label_is_web } });
    assert_pull(&s, again, 5, "ADDED p,MODIFIED p,DELETED p,ADDED q,DELETED q");
    assert_quiet(&s, again);
    hub_port_tick(s.port, clock_mono_ms() + 61000); /* only `init` and `empty` asked for bookmarks */
    assert_quiet(&s, again);
    assert_pull(&s, empty, 1, "BOOKMARK ");
    watcher_free(all);
    watcher_free(web);
    watcher_free(n1);
    watcher_free(ns);
    watcher_free(one);
    watcher_free(init);
    watcher_free(empty);
    watcher_free(again);
    side_close(&s);
}

static void
test_watch_bounds(void **state)
{
    struct storage_config sc = { .ring_events = 20 };
    struct side s;
    int64_t start;

    side_open(&s, &sc);
    wipe(&s);
    start = create(&s, "a", "p", "n1", "v");
    struct watcher *slow = watch(&s, s.pods, (struct watch_opts){ .resource_version = start, .max_events = 10 });
    for (int i = 0; i < 30; i++) {
        AUTO_FREE char *app = xasprintf("v%d", i);
        enum store_outcome outcome;

        update(&s, "a", "p", "n1", app, &outcome);
    }
    assert_pull(&s, slow, 1, ""); /* cut off: it did not pull */
    assert_true(watcher_ended(slow));
    watcher_free(slow);
    struct watcher *w = NULL;
    struct watch_opts o = { .resource_version = start };
    struct kerr *err = watcher_new(s.port, s.pods, &o, clock_mono_ms(), &w);
    AUTO_FREE char *want = xasprintf("too old resource version: %" PRId64 " (%" PRId64 ")", start, start + 10);
    assert_non_null(err);
    assert_string_equal(err->message, want);
    assert_err(err, KERR_EXPIRED);
    o.resource_version = start + 10; /* the oldest point that is whole */
    assert_no_err(watcher_new(s.port, s.pods, &o, clock_mono_ms(), &w));
    AUTO_FREE char *got = pull(&s, w, 20);
    assert_int_equal(strlen(got), 20 * strlen("MODIFIED p,") - 1);
    watcher_free(w);
    side_close(&s);
}

/* More events than ring_events in a short time: a client that listed a moment ago can still resume. */
static void
test_young_history(void **state)
{
    struct storage_config sc = { .ring_events = 20, .ring_events_max = 200 };
    struct side s;
    struct watch_opts o = { .max_events = 10 }; /* bounds what is queued beside the replay */
    struct watcher *w = NULL;

    side_open(&s, &sc);
    wipe(&s);
    o.resource_version = create(&s, "a", "p", "n1", "v");
    for (int i = 0; i < 150; i++) {
        AUTO_FREE char *app = xasprintf("v%d", i);
        enum store_outcome outcome;

        update(&s, "a", "p", "n1", app, &outcome);
    }
    assert_no_err(watcher_new(s.port, s.pods, &o, clock_mono_ms(), &w));
    AUTO_FREE char *got = pull(&s, w, 150);
    assert_int_equal(strlen(got), 150 * strlen("MODIFIED p,") - 1);
    watcher_free(w);
    side_close(&s);
}

/* --- what may happen to etcd --- */

static void
test_etcd_restarts(void **state)
{
    struct side s;
    int64_t start;

    side_open(&s, NULL);
    wipe(&s);
    start = create(&s, "a", "p0", "n", "web");
    struct watcher *w = watch(&s, s.pods, (struct watch_opts){ .resource_version = start });
    for (int round = 0; round < 3; round++) {
        AUTO_FREE char *name = xasprintf("k%d", round);

        etcd_fixture_stop(&fixture, round == 1 ? SIGTERM : SIGKILL);
        assert_err(storage_wait_fresh(s.st), KERR_UNAVAILABLE);
        AUTO(record) *still = store_get(s.pods, "a", "p0"); /* memory answers */
        assert_non_null(still);
        assert_true(etcd_fixture_start(&fixture));
        create(&s, "a", name, "n", "web");
    }
    assert_pull(&s, w, 3, "ADDED k0,ADDED k1,ADDED k2");
    fresh(&s);
    assert_int_equal(store_count(s.pods), 4);
    watcher_free(w);
    side_close(&s);
}

static void
put_by_hand(const char *name, const char *app)
{
    AUTO_FREE char *key = xasprintf("/registry/pods/a/%s", name);
    AUTO_FREE char *json = pod_json("a", name, "n", app);

    assert_int_equal(etcd_fixture_ctl(&fixture, "put", key, json), 0);
}

/* Changes and a compaction while we are not looking: the difference comes as events, old resume points get 410. */
static void
test_compacted_under_us(void **state)
{
    struct side s;
    int64_t start;

    side_open(&s, NULL);
    wipe(&s);
    create(&s, "a", "gone", "n", "web");
    create(&s, "a", "same", "n", "web");
    start = create(&s, "a", "changed", "n", "web");
    struct watcher *w = watch(&s, s.pods, (struct watch_opts){ .resource_version = start });
    int real = fixture.client_port;

    /* Move etcd to another port, so that the store cannot follow. */
    etcd_fixture_stop(&fixture, SIGTERM);
    fixture.client_port = fixture_free_port();
    snprintf(fixture.url, sizeof(fixture.url), "http://127.0.0.1:%d", fixture.client_port);
    assert_true(etcd_fixture_start(&fixture));
    put_by_hand("changed", "db");
    put_by_hand("new", "web");
    assert_int_equal(etcd_fixture_ctl(&fixture, "del", "/registry/pods/a/gone", NULL), 0);
    AUTO_FREE char *upto = xasprintf("%" PRId64, start + 3);
    assert_int_equal(etcd_fixture_ctl(&fixture, "compact", upto, NULL), 0);
    etcd_fixture_stop(&fixture, SIGTERM);
    fixture.client_port = real;
    snprintf(fixture.url, sizeof(fixture.url), "http://127.0.0.1:%d", real);
    assert_true(etcd_fixture_start(&fixture));

    assert_pull(&s, w, 3, "MODIFIED changed,ADDED new,DELETED gone");
    assert_int_equal(storage_incarnation(s.st), 1);
    struct watch_opts o = { .resource_version = start };
    struct watcher *late = NULL;
    assert_err(watcher_new(s.port, s.pods, &o, clock_mono_ms(), &late), KERR_EXPIRED);
    watcher_free(w);
    side_close(&s);
}

/* A restored snapshot: revisions go backwards. */
static void
test_restored_snapshot(void **state)
{
    struct side s;
    struct etcd_fixture other = { 0 };
    int64_t high;

    side_open(&s, NULL);
    wipe(&s);
    for (int i = 0; i < 20; i++) {
        AUTO_FREE char *name = xasprintf("p%d", i);

        create(&s, "a", name, "n", "web");
    }
    high = storage_revision(s.st);
    struct watcher *w = watch(&s, s.pods, (struct watch_opts){ .resource_version = high });
    etcd_fixture_stop(&fixture, SIGTERM);
    other = fixture; /* the same address, an empty history */
    strcpy(other.dir, "/tmp/ckube-etcd-XXXXXX");
    assert_non_null(mkdtemp(other.dir));
    assert_true(etcd_fixture_start(&other));
    AUTO_FREE char *got = pull(&s, w, 1);
    assert_true(str_has_prefix(got, "ERROR too old resource version"));
    assert_true(storage_revision(s.st) < high);
    assert_int_equal(store_count(s.pods), 0);
    create(&s, "a", "after", "n", "web");
    watcher_free(w);
    side_close(&s);
    etcd_fixture_done(&other);
    assert_true(etcd_fixture_start(&fixture));
}

static void
test_waits_for_etcd(void **state)
{
    struct etcd_config ec = { 0 };
    struct side s = { 0 };
    struct storage_config sc = { 0 };

    etcd_fixture_stop(&fixture, SIGTERM);
    strlist_add(&ec.endpoints, fixture.url);
    assert_null(etcd_new(&ec, &s.etcd));
    strlist_done(&ec.endpoints);
    sc.etcd = s.etcd;
    s.st = storage_new(&sc);
    s.pods = storage_add(s.st, &pods);
    storage_start(s.st);
    assert_false(storage_wait_ready(s.st, 300));
    assert_err(storage_health(s.st), KERR_UNAVAILABLE);
    assert_true(etcd_fixture_start(&fixture));
    assert_true(storage_wait_ready(s.st, 20000));
    create(&s, "z", "p", "n", "web");
    storage_free(s.st);
    etcd_free(s.etcd);
}

/* Resources that come and go at run time, with objects that were there before. */
static void
test_late_resources(void **state)
{
    static const struct store_resource things = { .group = "example.com", .resource = "things", .path = "example.com/things",
                                                  .shape = { true, NULL, 0 }, .index_field = -1 };
    struct side s;
    AUTO(record) *rec = NULL;

    assert_int_equal(etcd_fixture_ctl(&fixture, "put", "/registry/example.com/things/a/t1", "{\"metadata\":{\"name\":\"t1\"}}"), 0);
    side_open(&s, NULL);
    struct store *t = storage_add(s.st, &things);
    rec = store_get(t, "a", "t1");
    assert_non_null(rec);
    assert_string_equal(rec->name, "t1");
    struct watcher *w = watch(&s, t, (struct watch_opts){ .resource_version = storage_revision(s.st) });
    assert_int_equal(etcd_fixture_ctl(&fixture, "put", "/registry/example.com/things/a/t2", "{\"metadata\":{\"name\":\"t2\"}}"), 0);
    assert_pull(&s, w, 1, "ADDED t2");
    storage_remove(s.st, t);
    assert_pull(&s, w, 1, "");
    assert_true(watcher_ended(w));
    watcher_free(w);
    assert_int_equal(etcd_fixture_ctl(&fixture, "put", "/registry/example.com/things/a/t3", "{\"metadata\":{\"name\":\"t3\"}}"), 0);
    fresh(&s);
    t = storage_add(s.st, &things);
    assert_int_equal(store_count(t), 3);
    side_close(&s);
}

static void
test_broken_value(void **state)
{
    struct side s;
    struct store_list l = { 0 };
    struct store_list_opts o = { 0 };
    AUTO(record) *rec = NULL;
    bool old;

    side_open(&s, NULL);
    wipe(&s);
    assert_int_equal(etcd_fixture_ctl(&fixture, "put", "/registry/pods/a/bad", "no json"), 0);
    fresh(&s);
    assert_err(store_get_list(s.pods, &o, &l, &old), KERR_INTERNAL);
    assert_no_err(store_delete(s.pods, "a", "bad", NULL, NULL, NULL, &rec));
    assert_no_err(store_get_list(s.pods, &o, &l, &old));
    store_list_done(&l);
    side_close(&s);
}

static void
test_lease(void **state)
{
    struct side s;
    AUTO(record) *rec = NULL;
    const char *json = "{\"metadata\":{\"name\":\"e\",\"namespace\":\"a\"}}";

    side_open(&s, NULL);
    wipe(&s);
    assert_no_err(store_create(s.events, "a", "e", json, strlen(json), &rec));
    struct etcd_range range = { .key = "/registry/events/a/e", .key_len = 20 };
    struct etcd_range_info info;
    assert_no_err(etcd_get_range(s.etcd, &range, NULL, NULL, &info));
    assert_int_equal(info.count, 1);
    side_close(&s);
}

/* Writers, readers and a watcher at the same time: every change is seen once and in order. (Run it under TSan.) */
struct writer {
    struct side *s;
    int id;
    pthread_t thread;
};

#define WRITES 60
static void *
write_some(void *arg)
{
    struct writer *w = arg;

    for (int i = 0; i < WRITES; i++) {
        AUTO_FREE char *name = xasprintf("w%d-%d", w->id, i);
        AUTO_FREE char *json = pod_json("c", name, "n", "web");
        AUTO(record) *rec = NULL, *back = NULL;
        struct store_list l = { 0 };
        struct store_list_opts o = { .limit = 10 };
        bool old;

        assert_no_err(store_create(w->s->pods, "c", name, json, strlen(json), &rec));
        if (i % 4 == 0)
            fresh(w->s);
        back = store_get(w->s->pods, "c", name);
        if (i % 4 == 0)
            assert_non_null(back);
        assert_no_err(store_get_list(w->s->pods, &o, &l, &old));
        store_list_done(&l);
    }
    return NULL;
}

static void
test_concurrent(void **state)
{
    struct side s, b;
    struct writer writers[8];
    struct watch_item item;
    int64_t last = 0;

    side_open(&s, NULL);
    wipe(&s);
    side_open(&b, NULL);
    struct watcher *w = watch(&s, s.pods, (struct watch_opts){ .resource_version = storage_revision(s.st) });
    for (int i = 0; i < 8; i++) {
        writers[i] = (struct writer){ i % 4 == 3 ? &b : &s, i, 0 };
        pthread_create(&writers[i].thread, NULL, write_some, &writers[i]);
    }
    for (int n = 0; n < 8 * WRITES;) {
        hub_port_run(s.port);
        if (!watcher_next(w, &item)) {
            assert_false(watcher_ended(w));
            clock_sleep_ms(1);
            continue;
        }
        assert_int_equal(item.type, WATCH_ADDED);
        assert_true(item.revision > last);
        last = item.revision;
        watch_item_done(&item);
        n++;
    }
    for (int i = 0; i < 8; i++)
        pthread_join(writers[i].thread, NULL);
    assert_quiet(&s, w);
    struct storage_stats stats;
    storage_get_stats(s.st, &stats);
    assert_int_equal(stats.own_applied + stats.events_applied >= 8 * WRITES, 1);
    watcher_free(w);
    side_close(&s);
    side_close(&b);
}

/* etcd is killed again and again while writers write and a watcher watches: what was acknowledged is there, each change is
 * seen once and in order, and in the end memory is what etcd has. */
struct survivor {
    struct side *s;
    int id;
    atomic_bool *stop;
    int acknowledged;
    pthread_t thread;
};

static void *
write_through(void *arg)
{
    struct survivor *v = arg;

    while (!atomic_load(v->stop)) {
        AUTO_FREE char *name = xasprintf("s%d-%d", v->id, v->acknowledged);
        AUTO_FREE char *json = pod_json("k", name, "n", "web");
        AUTO(record) *rec = NULL;
        struct kerr *err = store_create(v->s->pods, "k", name, json, strlen(json), &rec);

        if (!err || err->reason == KERR_ALREADY_EXISTS) /* after an error without an answer, ours may be there */
            v->acknowledged++;
        else
            assert_true(err->reason == KERR_UNAVAILABLE || err->reason == KERR_TIMEOUT || err->reason == KERR_INTERNAL);
        kerr_free(err);
    }
    return NULL;
}

static struct kerr *
check_in_memory(const struct etcd_kv *kv, void *arg)
{
    struct side *s = arg;
    AUTO(record) *rec = store_get(s->pods, "k", kv->key + strlen("/registry/pods/k/"));

    assert_non_null(rec);
    assert_int_equal(rec->revision, kv->mod_revision);
    assert_true(record_same_stored(rec, kv->value, kv->value_len));
    return NULL;
}

static void
test_kill_under_load(void **state)
{
    struct side s;
    struct survivor v[6];
    atomic_bool stop = false;
    struct watch_item item;
    int64_t last = 0;
    int want = 0, seen = 0;

    side_open(&s, NULL);
    wipe(&s);
    struct watcher *w = watch(&s, s.pods, (struct watch_opts){ .resource_version = storage_revision(s.st), .max_events = 1000000, .max_age_ms = 600000 });
    for (int i = 0; i < 6; i++) {
        v[i] = (struct survivor){ &s, i, &stop, 0, 0 };
        pthread_create(&v[i].thread, NULL, write_through, &v[i]);
    }
    for (int i = 0; i < 3; i++) {
        clock_sleep_ms(300);
        etcd_fixture_stop(&fixture, SIGKILL);
        assert_true(etcd_fixture_start(&fixture));
    }
    clock_sleep_ms(2500);
    atomic_store(&stop, true);
    for (int i = 0; i < 6; i++) {
        pthread_join(v[i].thread, NULL);
        want += v[i].acknowledged;
    }
    assert_true(want > 100);
    for (int i = 0; i < 100; i++) {
        AUTO(kerr) *ill = storage_health(s.st);

        if (!ill)
            break;
        clock_sleep_ms(100);
    }
    fresh(&s);
    for (int i = 0; i < 6; i++)
        for (int n = 0; n < v[i].acknowledged; n++) {
            AUTO_FREE char *name = xasprintf("s%d-%d", i, n);
            AUTO(record) *rec = store_get(s.pods, "k", name);

            if (!rec)
                fail_msg("%s was acknowledged and is gone", name);
        }
    struct etcd_range range = { .key = "/registry/pods/k/", .key_len = 17, .range_end = "/registry/pods/k0", .range_end_len = 17 };
    struct etcd_range_info info;
    assert_no_err(etcd_get_range(s.etcd, &range, check_in_memory, &s, &info));
    assert_int_equal(info.count, store_count(s.pods));
    hub_port_run(s.port);
    while (watcher_next(w, &item)) {
        assert_int_equal(item.type, WATCH_ADDED);
        assert_true(item.revision > last);
        last = item.revision;
        seen++;
        watch_item_done(&item);
    }
    assert_false(watcher_ended(w));
    assert_int_equal(seen, info.count);
    watcher_free(w);
    side_close(&s);
}

static int
setup(void **state)
{
    etcd_fixture_new(&fixture);
    return 0;
}

static int
teardown(void **state)
{
    etcd_fixture_done(&fixture);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest quick[] = {
        cmocka_unit_test(test_create_get_update_delete),
        cmocka_unit_test(test_two_servers),
        cmocka_unit_test(test_paging_is_one_state),
        cmocka_unit_test(test_old_lists_and_compaction),
        cmocka_unit_test(test_watch_selectors),
        cmocka_unit_test(test_watch_bounds),
        cmocka_unit_test(test_young_history),
        cmocka_unit_test(test_concurrent),
        cmocka_unit_test(test_late_resources),
        cmocka_unit_test(test_broken_value),
        cmocka_unit_test(test_lease),
    };
    const struct CMUnitTest faults[] = { /* slow: etcd takes seconds to come back.  tests/integration/storage.sh */
        cmocka_unit_test(test_kill_under_load),
        cmocka_unit_test(test_etcd_restarts),
        cmocka_unit_test(test_compacted_under_us),
        cmocka_unit_test(test_restored_snapshot),
        cmocka_unit_test(test_waits_for_etcd),
    };

    if (access("/usr/bin/etcd", X_OK) != 0) {
        puts("etcd is not installed");
        return 77;
    }
    if (getenv("STORE_FAULTS"))
        return cmocka_run_group_tests(faults, setup, teardown);
    return cmocka_run_group_tests(quick, setup, teardown);
}
