// SPDX-License-Identifier: Apache-2.0
#include "common/net/http_header.h"

#include <string.h>
#include <strings.h>

#include "common/base/mem.h"

const char *
http_header_get(const struct http_header *headers, size_t n, const char *name)
{
    return http_header_next(headers, n, name, NULL);
}

const char *
http_header_next(const struct http_header *headers, size_t n, const char *name, const char *after)
{
    bool on = !after;

    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(headers[i].name, name))
            continue;
        if (on)
            return headers[i].value;
        on = headers[i].value == after;
    }
    return NULL;
}

static bool
list_has_token(const char *list, const char *token)
{
    size_t want = strlen(token);

    while (*list) {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ",");
        size_t bare = len;
        while (bare && (list[bare - 1] == ' ' || list[bare - 1] == '\t'))
            bare--;
        if (bare == want && strncasecmp(list, token, want) == 0)
            return true;
        list += len;
    }
    return false;
}

bool
http_header_has_token(const struct http_header *headers, size_t n, const char *name, const char *token)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(headers[i].name, name) == 0 && list_has_token(headers[i].value, token))
            return true;
    return false;
}

bool
http_header_end_to_end(const char *name)
{
    static const char *const hop[] = { "connection",        "keep-alive", "proxy-authenticate", "proxy-authorization",
                                       "proxy-connection",  "te",         "trailer",            "transfer-encoding",
                                       "upgrade" };

    for (size_t i = 0; i < ARRAY_LEN(hop); i++)
        if (strcasecmp(hop[i], name) == 0)
            return false;
    return true;
}

const char *
http_status_text(int code)
{
    static const struct {
        int code;
        const char *text;
    } rows[] = {
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 203, "Non-Authoritative Information" },
        { 204, "No Content" },
        { 205, "Reset Content" },
        { 206, "Partial Content" },
        { 300, "Multiple Choices" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 402, "Payment Required" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 407, "Proxy Authentication Required" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Request Entity Too Large" },
        { 414, "Request URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 416, "Requested Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Entity" },
        { 423, "Locked" },
        { 428, "Precondition Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
        { 507, "Insufficient Storage" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].code == code)
            return rows[i].text;
    return "";
}
