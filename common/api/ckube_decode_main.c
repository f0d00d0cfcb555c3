// SPDX-License-Identifier: Apache-2.0
/* ckube-decode: reads one API object in JSON, YAML or protobuf (as etcd holds it) and writes it in the asked format. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "common/api/codec.h"
#include "common/api/object.h"

static const char usage[] =
    "Usage: ckube-decode [-o json|yaml|protobuf] < OBJECT\n"
    "Reads one Kubernetes object from standard input, in JSON, YAML or protobuf (\"k8s\\0\" as in etcd), and writes it.\n"
    "  -o FORMAT   json (default), yaml or protobuf\n"
    "  -h          this text\n"
    "Example: etcdctl get --print-value-only /registry/pods/default/web | ckube-decode -o yaml\n";

static void
write_json(const struct object *obj, struct sbuf *out)
{
    object_encode_json(obj, out);
    sbuf_addc(out, '\n');
}

static void
write_yaml(const struct object *obj, struct sbuf *out)
{
    AUTO_SBUF json = { 0 };

    object_encode_json(obj, &json);
    json_to_yaml(json.s, json.len, out);
}

static const struct {
    const char *name;
    void (*write)(const struct object *obj, struct sbuf *out);
} formats[] = {
    { "json", write_json },
    { "yaml", write_yaml },
    { "protobuf", object_encode_pb },
};

static struct kerr *
decode(const char *in, size_t len, struct object **ret)
{
    AUTO_SBUF json = { 0 };

    if (len >= 4 && memcmp(in, "k8s", 4) == 0)
        return object_decode_pb(in, len, NULL, ret);
    size_t start = strspn(in, " \t\r\n");
    if (start < len && in[start] == '{')
        return object_decode_json(in, len, NULL, NULL, ret);
    struct kerr *err = yaml_to_json(in, len, NULL, &json);
    return err ? err : object_decode_json(json.s, json.len, NULL, NULL, ret);
}

static int
convert(FILE *in, size_t format)
{
    AUTO_SBUF input = { .max = 256u << 20 };
    AUTO_SBUF output = { 0 };
    AUTO(object) *obj = NULL;
    char buf[65536];
    size_t n;

    while ((n = fread(buf, 1, sizeof buf, in)) > 0)
        sbuf_add(&input, buf, n);
    if (ferror(in) || input.truncated) {
        fprintf(stderr, "ckube-decode: standard input: %s\n", input.truncated ? "over 256 MiB" : strerror(errno));
        return 1;
    }
    AUTO(kerr) *err = decode(sbuf_str(&input), input.len, &obj);
    if (err) {
        fprintf(stderr, "ckube-decode: %s\n", err->message);
        return 1;
    }
    formats[format].write(obj, &output);
    if (fwrite(output.s, 1, output.len, stdout) != output.len || fflush(stdout) != 0) {
        fprintf(stderr, "ckube-decode: standard output: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}

int
main(int argc, char **argv)
{
    size_t format = 0;
    int opt;

    while ((opt = getopt(argc, argv, "ho:")) != -1) {
        if (opt == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        for (format = 0; opt == 'o' && format < ARRAY_LEN(formats); format++)
            if (strcmp(optarg, formats[format].name) == 0)
                break;
        if (opt != 'o' || format == ARRAY_LEN(formats)) {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    return convert(stdin, format);
}
