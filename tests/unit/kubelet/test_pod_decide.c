// SPDX-License-Identifier: Apache-2.0
/* Golden tests of the kubelet's decision and of the status it reports.
 *   tests/golden/kubelet/<case>/pod.yaml       the pod as the API has it
 *   tests/golden/kubelet/<case>/picture.txt    what the runtime has, what the node remembers, the time
 *   tests/golden/kubelet/<case>/expected.txt   the plan, a line of dashes, the status
 * UPDATE_GOLDEN=1 writes expected.txt anew: read the difference before you keep it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/api/codec.h"
#include "common/base/file.h"
#include "kubelet/pod_status.h"

#define ROOT "tests/golden/kubelet"

struct picture {
    struct rt_pod rt;
    struct rt_sandbox sandboxes[8];
    struct rt_container containers[32];
    struct pod_record rec;
    int64_t now_s;
    struct arena *a;
};

/* key=value word of the line; NULL = absent. */
static const char *
word_value(struct picture *p, const char *line, const char *key)
{
    AUTO_FREE char *needle = xasprintf(" %s=", key);
    const char *at = strstr(line, needle);

    return at ? arena_strndup(p->a, at + strlen(needle), strcspn(at + strlen(needle), " \n")) : NULL;
}

static int64_t
word_number(struct picture *p, const char *line, const char *key, int64_t fallback)
{
    const char *v = word_value(p, line, key);

    return v ? strtoll(v, NULL, 0) : fallback;
}

static bool
has_word(const char *line, const char *word)
{
    AUTO_FREE char *needle = xasprintf(" %s", word);
    const char *at = strstr(line, needle);

    return at && (at[strlen(needle)] == ' ' || at[strlen(needle)] == '\0');
}

static void
read_sandbox(struct picture *p, const char *line, const char *id)
{
    struct rt_sandbox *s = &p->sandboxes[p->rt.nsandboxes++];
    const char **ips = arena_alloc(p->a, sizeof *ips);

    s->id = arena_strdup(p->a, id);
    s->attempt = (uint32_t)word_number(p, line, "attempt", 0);
    s->ready = has_word(line, "ready");
    s->host_network = has_word(line, "host");
    ips[0] = word_value(p, line, "ip");
    s->ips = ips;
    s->nips = ips[0] != NULL;
}

static void
read_container(struct picture *p, const char *line, const char *name)
{
    struct rt_container *c = &p->containers[p->rt.ncontainers++];
    const char *state = word_value(p, line, "state");

    c->name = arena_strdup(p->a, name);
    c->id = word_value(p, line, "id");
    c->sandbox_id = word_value(p, line, "sandbox");
    c->attempt = (uint32_t)word_number(p, line, "attempt", 0);
    c->state = str_eq(state, "running") ? RT_RUNNING : str_eq(state, "exited") ? RT_EXITED : str_eq(state, "created") ? RT_CREATED : RT_UNKNOWN;
    c->started_ns = word_number(p, line, "started", 0) * 1000000000;
    c->finished_ns = word_number(p, line, "finished", 0) * 1000000000;
    c->exit_code = (int32_t)word_number(p, line, "exit", 0);
    c->reason = word_value(p, line, "reason");
    c->image = word_value(p, line, "image");
    c->image_id = "sha256:abc";
    c->hash = (uint64_t)word_number(p, line, "hash", 0);
}

static void
read_record(struct picture *p, const char *line, const char *name)
{
    struct container_record *r = pod_record_get(&p->rec, name);
    const char *image = word_value(p, line, "image");

    record_set(&r->probed_id, word_value(p, line, "probed"));
    record_set(&r->doomed_id, word_value(p, line, "doomed"));
    record_set(&r->kill_id, word_value(p, line, "killing"));
    record_set(&r->hook_id, word_value(p, line, "hook"));
    record_set(&r->wait_reason, word_value(p, line, "wait"));
    record_set(&r->wait_message, word_value(p, line, "waitmessage"));
    record_set(&r->ended_id, word_value(p, line, "ended"));
    record_set(&r->ended_message, word_value(p, line, "endmessage"));
    if (r->doomed_id)
        record_set(&r->doomed_message, "Container failed liveness probe, will be restarted");
    r->started = has_word(line, "started");
    r->ready = has_word(line, "ready");
    r->backoff_ms = word_number(p, line, "backoff", 0);
    r->kill_grace_s = word_number(p, line, "killgrace", 0);
    r->doomed_grace_s = word_number(p, line, "doomedgrace", -1);
    r->start_retry_ms = word_number(p, line, "retry", 0) * 1000;
    r->image_retry_ms = word_number(p, line, "imageretry", 0) * 1000;
    r->image_failed_ms = word_number(p, line, "imagefailed", 0) * 1000;
    r->image = str_eq(image, "pulling") ? IMAGE_PULLING : str_eq(image, "failed") ? IMAGE_FAILED : str_eq(image, "ready") ? IMAGE_READY : IMAGE_NOT_ASKED;
}

static void
read_line(struct picture *p, const char *line)
{
    char what[32] = "", name[64] = "";

    if (sscanf(line, "%31s %63s", what, name) < 1 || what[0] == '#')
        return;
    if (!strcmp(what, "now")) {
        p->now_s = strtoll(name, NULL, 10);
    } else if (!strcmp(what, "sandbox")) {
        read_sandbox(p, line, name);
    } else if (!strcmp(what, "container")) {
        read_container(p, line, name);
    } else if (!strcmp(what, "record")) {
        read_record(p, line, name);
    } else if (!strcmp(what, "pod")) {
        p->rec.prepared = has_word(line, "prepared");
        p->rec.torn_down = has_word(line, "torn-down");
        p->rec.gone = has_word(line, "gone");
        p->rec.gone_grace_s = word_number(p, line, "grace", 30);
        p->rec.sandbox_retry_ms = word_number(p, line, "sandboxretry", 0) * 1000;
        record_set(&p->rec.rejected_reason, word_value(p, line, "rejected"));
        record_set(&p->rec.rejected_message, word_value(p, line, "message"));
    } else {
        fail_msg("what is '%s'?", line);
    }
}

static void
read_picture(struct picture *p, const char *path)
{
    AUTO_FREE char *text = NULL;
    AUTO_STRLIST lines = { 0 };
    AUTO(kerr) *err = file_read(path, 65536, &text, NULL);

    assert_null(err);
    p->rt.sandboxes = p->sandboxes;
    p->rt.containers = p->containers;
    strlist_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.len; i++)
        read_line(p, lines.items[i]);
    p->rec.first_seen_ms = p->now_s * 1000;
}

static struct object *
read_pod(const char *path)
{
    AUTO_FREE char *text = NULL;
    AUTO_SBUF json = { 0 };
    struct object *obj = NULL;
    size_t len = 0;
    struct kerr *err = file_read(path, 65536, &text, &len);

    if (!err)
        err = yaml_to_json(text, len, NULL, &json);
    if (!err)
        err = object_decode_json(sbuf_str(&json), json.len, NULL, NULL, &obj);
    if (err)
        fail_msg("%s: %s", path, err->message);
    return obj;
}

static void
run_case(const char *name)
{
    static const char *const host_ips[] = { "10.0.0.9" };
    const struct node_identity node = { host_ips, 1, "containerd" };
    AUTO(arena) *a = arena_new(0);
    AUTO_FREE char *pod_path = xasprintf(ROOT "/%s/pod.yaml", name), *picture_path = xasprintf(ROOT "/%s/picture.txt", name);
    AUTO_FREE char *expected_path = xasprintf(ROOT "/%s/expected.txt", name), *expected = NULL, *pretty = NULL;
    AUTO(object) *pod = read_pod(pod_path);
    struct picture p = { .a = a };
    struct pod_view v;
    struct pod_plan plan;
    AUTO_SBUF out = { 0 };
    AUTO_SBUF json = { 0 };
    json_t *tree;

    read_picture(&p, picture_path);
    v = (struct pod_view){ OBJECT_BODY(pod, pod), &p.rt, &p.rec, p.now_s * 1000 };
    pod_decide(&v, a, &plan);
    pod_plan_print(&plan, &out);
    sbuf_adds(&out, "--------\n");
    json_encode(&api_type_pod_status, pod_status_make(&v, &node, a), &json);
    tree = json_loadb(sbuf_str(&json), json.len, 0, NULL);
    pretty = json_dumps(tree, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(tree);
    sbuf_addf(&out, "%s\n", pretty);
    pod_record_done(&p.rec);
    if (getenv("UPDATE_GOLDEN")) {
        AUTO(kerr) *err = file_write_atomic(expected_path, sbuf_str(&out), out.len, 0644);

        assert_null(err);
        return;
    }
    AUTO(kerr) *err = file_read(expected_path, 1024 * 1024, &expected, NULL);

    if (err || strcmp(expected, sbuf_str(&out)) != 0)
        fail_msg("case %s:\n--- expected\n%s\n--- got\n%s", name, str_safe(expected), sbuf_str(&out));
}

static void
test_golden(void **state)
{
    DIR *d = opendir(ROOT);
    struct dirent *e;
    size_t n = 0;

    assert_non_null(d);
    while ((e = readdir(d)))
        if (e->d_name[0] != '.') {
            run_case(e->d_name);
            n++;
        }
    closedir(d);
    assert_true(n >= 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_golden) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
