// SPDX-License-Identifier: Apache-2.0
/* codec_bench [FILE...]: speed of the codecs and size of the decoded object, on one core.
 * Prints for each file (default: tests/bench/pod_4k.json) MB of JSON per second and size ratios. */
#include <stdio.h>
#include <time.h>

#include "common/api/codec.h"
#include "common/api/json_scan.h"

enum { ROUND_MS = 300, ROUNDS = 5 };

struct sample {
    struct sbuf json, pb;
    struct object *obj;
};

static double
now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
must(struct kerr *err)
{
    if (!err)
        return;
    fprintf(stderr, "codec_bench: %s\n", err->message);
    exit(1);
}

static void
decode_json(struct sample *s)
{
    struct object *obj = NULL;

    must(object_decode_json(s->json.s, s->json.len, NULL, NULL, &obj));
    object_unref(obj);
}

static void
decode_json_strict(struct sample *s)
{
    struct codec_report report = { .collect = true };
    struct object *obj = NULL;

    must(object_decode_json(s->json.s, s->json.len, NULL, &report, &obj));
    object_unref(obj);
    strlist_done(&report.findings);
}

static void
encode_json(struct sample *s)
{
    static struct sbuf out;

    sbuf_clear(&out);
    object_encode_json(s->obj, &out);
}

static void
decode_pb(struct sample *s)
{
    struct object *obj = NULL;

    must(object_decode_pb(s->pb.s, s->pb.len, NULL, &obj));
    object_unref(obj);
}

static void
encode_pb(struct sample *s)
{
    static struct sbuf out;

    sbuf_clear(&out);
    object_encode_pb(s->obj, &out);
}

static void
copy(struct sample *s)
{
    object_unref(object_copy(s->obj));
}

static const struct {
    const char *name;
    void (*fn)(struct sample *s);
} cases[] = {
    { "json decode", decode_json }, { "json decode strict", decode_json_strict }, { "json encode", encode_json },
    { "pb decode", decode_pb },     { "pb encode", encode_pb },                   { "deep copy", copy },
};

/* The best round: others share the machine. */
static double
seconds_per_call(void (*fn)(struct sample *s), struct sample *s)
{
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        double start = now_s(), took;
        long n = 0;
        do {
            for (int i = 0; i < 50; i++)
                fn(s);
            n += 50;
        } while ((took = now_s() - start) < ROUND_MS / 1e3);
        if (took / (double)n < best)
            best = took / (double)n;
    }
    return best;
}

static void
run(const char *path)
{
    struct sample s = { 0 };
    AUTO_SBUF text = { 0 };
    char buf[65536];
    size_t n;
    FILE *f = fopen(path, "r");

    if (!f) {
        perror(path);
        exit(1);
    }
    while ((n = fread(buf, 1, sizeof buf, f)) > 0)
        sbuf_add(&text, buf, n);
    fclose(f);
    if (!json_compact(sbuf_str(&text), text.len, false, &s.json)) {
        fprintf(stderr, "codec_bench: %s: no JSON\n", path);
        exit(1);
    }
    must(object_decode_json(s.json.s, s.json.len, NULL, NULL, &s.obj));
    object_encode_pb(s.obj, &s.pb);
    printf("%s: json %zu bytes, pb %zu, object %zu (%.2f of json)\n", path, s.json.len, s.pb.len, object_size(s.obj),
           (double)object_size(s.obj) / (double)s.json.len);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double took = seconds_per_call(cases[i].fn, &s);
        printf("  %-20s %8.2f us %8.0f MB/s of json\n", cases[i].name, took * 1e6, (double)s.json.len / took / 1e6);
    }
    object_unref(s.obj);
    sbuf_done(&s.json);
    sbuf_done(&s.pb);
}

int
main(int argc, char **argv)
{
    if (argc < 2)
        run("tests/bench/pod_4k.json");
    for (int i = 1; i < argc; i++)
        run(argv[i]);
    return 0;
}
