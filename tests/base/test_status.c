/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Status numbers, names and texts are part of the API: each is fixed here. */
#include "../common/harness.h"

#include <string.h>

static const struct {
    enum kva_status status;
    int number;
    const char *name;
} statuses[] = {
    {KVA_OK, 0, "KVA_OK"},
    {KVA_ENOSPC, 1, "KVA_ENOSPC"},
    {KVA_ENOMEM, 2, "KVA_ENOMEM"},
    {KVA_EEXIST, 3, "KVA_EEXIST"},
    {KVA_ENOENT, 4, "KVA_ENOENT"},
    {KVA_EBUSY, 5, "KVA_EBUSY"},
    {KVA_ELIMIT, 6, "KVA_ELIMIT"},
    {KVA_EAGAIN, 7, "KVA_EAGAIN"},
    {KVA_ENULL, 32, "KVA_ENULL"},
    {KVA_EINVAL, 33, "KVA_EINVAL"},
    {KVA_ESIZE, 34, "KVA_ESIZE"},
    {KVA_EALIGN, 35, "KVA_EALIGN"},
    {KVA_EWRAP, 36, "KVA_EWRAP"},
    {KVA_EWINDOW, 37, "KVA_EWINDOW"},
    {KVA_ERANGE, 38, "KVA_ERANGE"},
    {KVA_EUNKNOWN, 39, "KVA_EUNKNOWN"},
    {KVA_EINTERIOR, 40, "KVA_EINTERIOR"},
    {KVA_EDOUBLE, 41, "KVA_EDOUBLE"},
    {KVA_EDEFERRED, 42, "KVA_EDEFERRED"},
    {KVA_EREENTRY, 43, "KVA_EREENTRY"},
    {KVA_ECORRUPT, 64, "KVA_ECORRUPT"},
};

#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

/** A switch without a default: with -Wswitch a new status without a case fails to compile. */
static bool is_status(int value)
{
    switch ((enum kva_status)value) {
    case KVA_OK:
    case KVA_ENOSPC:
    case KVA_ENOMEM:
    case KVA_EEXIST:
    case KVA_ENOENT:
    case KVA_EBUSY:
    case KVA_ELIMIT:
    case KVA_EAGAIN:
    case KVA_ENULL:
    case KVA_EINVAL:
    case KVA_ESIZE:
    case KVA_EALIGN:
    case KVA_EWRAP:
    case KVA_EWINDOW:
    case KVA_ERANGE:
    case KVA_EUNKNOWN:
    case KVA_EINTERIOR:
    case KVA_EDOUBLE:
    case KVA_EDEFERRED:
    case KVA_EREENTRY:
    case KVA_ECORRUPT:
        return true;
    }
    return false;
}

static void numbers_and_names_are_stable(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATUSES; i++) {
        assert_int_equal(statuses[i].status, statuses[i].number);
        assert_string_equal(kva_status_name(statuses[i].status), statuses[i].name);
    }
}

static void texts_are_there_and_differ(void **state)
{
    (void)state;
    assert_string_equal(kva_status_text(KVA_ENOSPC), "no free range satisfies the request");
    for (size_t i = 0; i < STATUSES; i++) {
        const char *text = kva_status_text(statuses[i].status);
        assert_non_null(text);
        assert_true(strlen(text) > 0);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(text, kva_status_text(statuses[k].status));
    }
}

static void unknown_values_have_a_name(void **state)
{
    (void)state;
    for (int value = 0; value < 256; value++) {
        if (is_status(value)) {
            assert_string_not_equal(kva_status_name((enum kva_status)value), "KVA_E?");
            continue;
        }
        assert_string_equal(kva_status_name((enum kva_status)value), "KVA_E?");
        assert_non_null(kva_status_text((enum kva_status)value));
        for (size_t i = 0; i < STATUSES; i++)
            assert_string_not_equal(kva_status_text((enum kva_status)value),
                                    kva_status_text(statuses[i].status));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_names_are_stable),
        cmocka_unit_test(texts_are_there_and_differ),
        cmocka_unit_test(unknown_values_have_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
