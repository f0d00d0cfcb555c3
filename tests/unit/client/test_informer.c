// SPDX-License-Identifier: Apache-2.0
#include "common/client/informer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "fake_apiserver.h"

#define POD(ns, name, rv, node)                                                                                        \
    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns "\",\"uid\":\"u-" name                    \
    "\",\"resourceVersion\":\"" rv "\",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"r\",\"uid\":\"rs-1\"," \
    "\"controller\":true}],\"managedFields\":[{\"manager\":\"m\",\"operation\":\"Apply\",\"apiVersion\":\"v1\"}]},\"spec\":{\"nodeName\":\"" node "\"}}"
#define LIST(rv, more, items)                                                                                          \
    "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" rv "\",\"continue\":\"" more "\"},\"items\":[" items "]}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define GONE                                                                                                           \
    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"too old resource version\","  \
    "\"reason\":\"Expired\",\"code\":410}}\n"

/* First list: a and b on two pages at version 10.  After a 410: only a (changed) and c at version 50. */
static void
answer(struct fake *f, struct http_stream *s, const char *method, const char *target, const char *body)
{
    if (strstr(target, "watch=true")) {
        fake_start_watch(f, s);
    } else if (f->step < 0) {
        f->step++;
        fake_reply(s, 503, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"starting\",\"reason\":\"ServiceUnavailable\",\"code\":503}");
    } else if (strstr(target, "continue=p2")) {
        fake_reply(s, 200, LIST("10", "", POD("ns2", "b", "2", "n2")));
    } else if (strstr(target, "resourceVersion=0")) {
        fake_reply(s, 200, LIST("10", "p2", POD("ns", "a", "1", "n1")));
    } else {
        fake_reply(s, 200, LIST("50", "", POD("ns", "a", "41", "n1") "," POD("ns", "c", "42", "n1")));
    }
}

static void
on_add(const struct object *obj, bool initial, void *arg)
{
    char line[128];

    snprintf(line, sizeof line, "%s %s@%s", initial ? "initial" : "add", object_name(obj), object_meta(obj)->resource_version);
    fake_log(arg, line);
}

static void
on_update(const struct object *old, const struct object *now, void *arg)
{
    char line[128];

    snprintf(line, sizeof line, "update %s@%s>%s", object_name(now), object_meta(old)->resource_version, object_meta(now)->resource_version);
    fake_log(arg, line);
}

static void
on_remove(const struct object *last, void *arg)
{
    char line[128];

    snprintf(line, sizeof line, "remove %s@%s", object_name(last), object_meta(last)->resource_version);
    fake_log(arg, line);
}

static void
on_synced(void *arg)
{
    fake_log(arg, "synced");
}

static void
on_trouble(const char *what, const struct kerr *why, void *arg)
{
    char line[128];

    snprintf(line, sizeof line, "trouble %s: %s", what, why ? why->message : "over");
    fake_log(arg, line);
}

struct fixture {
    struct fake *fake;
    struct informers *set;
    struct informer *pods;
    unsigned by_node, by_owner;
};

static int
setup(void **state)
{
    struct fixture *x = XNEW(struct fixture);

    x->fake = fake_start(answer);
    x->set = informers_new(x->fake->rest, NULL);
    x->pods = informers_kind(x->set, "v1", "Pod");
    x->by_node = informer_add_index(x->pods, "node", informer_key_node_name);
    x->by_owner = informer_add_index(x->pods, "owner", informer_key_controller_uid);
    struct informer_handler h = { on_add, on_update, on_remove, on_synced, x->fake };
    informer_add_handler(x->pods, &h);
    informers_on_trouble(x->set, on_trouble, x->fake);
    *state = x;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *x = *state;

    informers_free(x->set);
    fake_stop(x->fake);
    free(x);
    return 0;
}

/* Started, synced, and the first watch is there. */
static struct fake *
begin(struct fixture *x)
{
    informers_start(x->set);
    assert_true(informers_wait_synced(x->set, NULL));
    fake_wait_for(x->fake, "watch=true");
    return x->fake;
}

static size_t
count_by(struct fixture *x, unsigned index, const char *key)
{
    AUTO_OBJECT_LIST l = { 0 };

    informer_by_index(x->pods, index, key, &l);
    return l.len;
}

static void
lists_then_watches(void **state)
{
    struct fixture *x = *state;
    struct fake *f = begin(x);

    fake_wait_for(f, "GET /api/v1/pods?resourceVersion=0&limit=500\ninitial a@1\nGET /api/v1/pods?continue=p2&limit=500\ninitial b@2\nsynced\n"
                     "GET /api/v1/pods?resourceVersion=10&watch=true&allowWatchBookmarks=true\n");
    assert_int_equal(informer_count(x->pods), 2);
    AUTO(object) *a = informer_get(x->pods, "ns", "a");
    assert_non_null(a);
    assert_int_equal(object_meta(a)->managed_fields.len, 0);
    assert_null(informer_get(x->pods, "ns", "b"));
    assert_int_equal(count_by(x, x->by_node, "n1"), 1);
    assert_int_equal(count_by(x, x->by_owner, "rs-1"), 2);
    AUTO_OBJECT_LIST in_ns = { 0 }, all = { 0 };
    informer_list(x->pods, "ns2", &in_ns);
    informer_list(x->pods, NULL, &all);
    assert_int_equal(in_ns.len, 1);
    assert_int_equal(all.len, 2);
}

static void
events_change_the_copy(void **state)
{
    struct fixture *x = *state;
    struct fake *f = begin(x);
    char version[32];

    fake_send(f, EVENT("ADDED", POD("ns", "c", "11", "n1")) EVENT("MODIFIED", POD("ns", "a", "12", "n9")));
    fake_wait_for(f, "add c@11\nupdate a@1>12\n");
    assert_int_equal(count_by(x, x->by_node, "n1"), 1);
    assert_int_equal(count_by(x, x->by_node, "n9"), 1);
    fake_send(f, EVENT("DELETED", POD("ns2", "b", "13", "n2")));
    fake_wait_for(f, "remove b@13\n");
    assert_int_equal(count_by(x, x->by_node, "n2"), 0);
    fake_send(f, EVENT("BOOKMARK", "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"20\",\"creationTimestamp\":null},\"spec\":{\"containers\":null},\"status\":{}}"));
    fake_send(f, EVENT("MODIFIED", POD("ns", "a", "21", "n9")));
    fake_wait_for(f, "update a@12>21\n");
    assert_string_equal(informer_resource_version(x->pods, version, sizeof version), "21");
    assert_int_equal(informer_count(x->pods), 2);
}

static void
frames_may_come_in_any_pieces(void **state)
{
    struct fixture *x = *state;
    struct fake *f = begin(x);
    const char *bytes = EVENT("ADDED", POD("ns", "c", "11", "n1")) EVENT("ADDED", POD("ns", "d", "12", "n1"));
    char piece[8] = { 0 };

    for (const char *p = bytes; *p; p += strlen(piece)) {
        memcpy(piece, p, strnlen(p, 7));
        piece[strnlen(p, 7)] = '\0';
        fake_send(f, piece);
    }
    fake_wait_for(f, "add c@11\nadd d@12\n");
}

static void
a_cut_watch_goes_on_where_it_was(void **state)
{
    struct fixture *x = *state;
    struct fake *f = begin(x);

    fake_send(f, EVENT("MODIFIED", POD("ns", "a", "33", "n1")));
    fake_wait_for(f, "update a@1>33\n");
    fake_clear_log(f);
    fake_end_watch(f, false);
    fake_wait_for(f, "GET /api/v1/pods?resourceVersion=33&watch=true&allowWatchBookmarks=true\n");
    fake_send(f, EVENT("MODIFIED", POD("ns", "a", "34", "n1")));
    fake_wait_for(f, "update a@33>34\n");
    fake_clear_log(f);
    fake_end_watch(f, true);
    fake_wait_for(f, "GET /api/v1/pods?resourceVersion=34&watch=true&allowWatchBookmarks=true\n");
    AUTO_FREE char *log = fake_log_copy(f);
    assert_null(strstr(log, "limit=500"));
}

static void
an_expired_version_lists_again_and_tells_the_difference(void **state)
{
    struct fixture *x = *state;
    struct fake *f = begin(x);

    fake_clear_log(f);
    fake_send(f, GONE);
    fake_wait_for(f, "GET /api/v1/pods?limit=500\n");
    fake_wait_for(f, "GET /api/v1/pods?resourceVersion=50&watch=true&allowWatchBookmarks=true\n");
    AUTO_FREE char *log = fake_log_copy(f);
    assert_non_null(strstr(log, "update a@1>41\nadd c@42\nremove b@2\n"));
    assert_null(strstr(log, "synced"));
    assert_int_equal(informer_count(x->pods), 2);
}

static void
garbage_is_survived(void **state)
{
    struct fixture *x = *state;
    struct fake *f = begin(x);
    static const char *const bad[] = { "not json\n", "{\"type\":\"ADDED\"}\n", "[1,2]\n", "{\"type\":\"NEW\",\"object\":{}}\n",
                                       "{\"type\":\"ADDED\",\"object\":{\"metadata\":5}}\n" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        fake_clear_log(f);
        fake_send(f, bad[i]);
        fake_wait_for(f, "trouble pods: watch: ");
        fake_wait_for(f, "GET /api/v1/pods?resourceVersion=10&watch=true");
        fake_wait_for(f, "trouble pods: over");
    }
    fake_send(f, EVENT("ADDED", POD("ns", "c", "11", "n1")));
    fake_wait_for(f, "add c@11\n");
    fake_send(f, EVENT("ADDED", "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{}}")); /* nameless: left out */
    fake_send(f, EVENT("MODIFIED", POD("ns", "c", "12", "n1")));
    fake_wait_for(f, "update c@11>12\n");
}

static void
an_unready_server_is_waited_for(void **state)
{
    struct fixture *x = *state;

    x->fake->step = -3;
    begin(x);
    fake_wait_for(x->fake, "trouble pods: starting\n");
    fake_wait_for(x->fake, "trouble pods: over\n");
    assert_int_equal(informer_count(x->pods), 2);
}

static void
late_handlers_get_what_is_there(void **state)
{
    struct fixture *x = *state;
    struct fake *f = begin(x);
    struct informer_handler h = { on_add, on_update, on_remove, on_synced, f };

    fake_clear_log(f);
    informer_add_handler(x->pods, &h);
    fake_wait_for(f, "synced\n");
    AUTO_FREE char *log = fake_log_copy(f);
    assert_non_null(strstr(log, "initial a@1\n"));
    assert_non_null(strstr(log, "initial b@2\n"));
    fake_send(f, EVENT("ADDED", POD("ns", "c", "11", "n1")));
    fake_wait_for(f, "add c@11\nadd c@11\n");
}

static void
a_name_made_again_is_two_objects(void **state)
{
    struct fixture *x = *state;
    struct fake *f = begin(x);

    fake_send(f, EVENT("MODIFIED", "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\",\"uid\":\"other\","
                                   "\"resourceVersion\":\"15\"}}"));
    fake_wait_for(f, "remove a@1\nadd a@15\n");
}

static void
metadata_alone_can_be_watched(void **state)
{
    struct fixture *x = *state;
    static struct api_kind partial; /* outlives the objects */
    struct informer_config cfg = { .kind = &partial, .metadata_only = true };

    partial = *api_kind_find("v1", "Pod");
    partial.type = &api_type_partial_object_metadata;
    partial.meta_offset = (int32_t)offsetof(struct partial_object_metadata, metadata);
    struct informer *inf = informers_get(x->set, &cfg);
    assert_ptr_equal(inf, informers_get(x->set, &cfg));
    assert_ptr_not_equal(inf, x->pods);
    begin(x);
    AUTO(object) *a = informer_get(inf, "ns", "a");
    assert_non_null(a);
    assert_string_equal(OBJECT_BODY(a, partial_object_metadata)->type_meta.kind, "Pod");
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(lists_then_watches),
        T(events_change_the_copy),
        T(frames_may_come_in_any_pieces),
        T(a_cut_watch_goes_on_where_it_was),
        T(an_expired_version_lists_again_and_tells_the_difference),
        T(garbage_is_survived),
        T(an_unready_server_is_waited_for),
        T(late_handlers_get_what_is_there),
        T(a_name_made_again_is_two_objects),
        T(metadata_alone_can_be_watched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
