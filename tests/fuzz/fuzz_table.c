/* floor: data. Any bytes as a tab-separated line and as a Python list: fields that together are no
 * longer than the line, lists that are JSON. */
#include <stdlib.h>
#include <string.h>

#include "data/lines.h"
#include "util/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    const char *text = (const char *)bytes, *at = text;
    char *list = NULL;
    size_t total = 0;
    while (at) {
        buf field = {0};
        tsv_field(&at, text + n, &field);
        MUST(!at || (at > text && at <= text + n), "a field ends outside of its line");
        total += field.len + (at != NULL);
        buf_clear(&field);
    }
    MUST(total <= n, "%zu bytes of fields in a line of %zu", total, n);
    if (python_list(text, n, &list)) {
        json_t *j = NULL;
        MUST(json_parse(list, strlen(list), "list", &j) == OK, "%s", err_msg());
        json_decref(j);
        free(list);
    }
    return 0;
}
