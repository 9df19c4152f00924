/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** The names and texts of the statuses. */
#include <kva/status.h>

static const struct status_words {
    enum kva_status status;
    const char *name;
    const char *text;
} status_words[] = {
    {KVA_OK, "KVA_OK", "done"},
    {KVA_ENOSPC, "KVA_ENOSPC", "no free range satisfies the request"},
    {KVA_ENOMEM, "KVA_ENOMEM", "no memory for the operation"},
    {KVA_EEXIST, "KVA_EEXIST", "the range is not wholly free, or the object is registered already"},
    {KVA_ENOENT, "KVA_ENOENT", "not found"},
    {KVA_EBUSY, "KVA_EBUSY", "a part of the object or range is in use"},
    {KVA_ELIMIT, "KVA_ELIMIT",
     "the process has as many mappings as the system allows (Linux: raise vm.max_map_count)"},
    {KVA_EAGAIN, "KVA_EAGAIN", "not everything was tried, or the space has changed: a retry may help"},
    {KVA_ENULL, "KVA_ENULL", "a required pointer is NULL, or the space is not initialised"},
    {KVA_EINVAL, "KVA_EINVAL", "a field has an invalid value, or the object is of the wrong kind or state"},
    {KVA_ESIZE, "KVA_ESIZE", "a size is 0, too large or not the segment's; or a boundary is below the size"},
    {KVA_EALIGN, "KVA_EALIGN",
     "an alignment, phase or boundary is invalid; or an address misses the quantum"},
    {KVA_EWRAP, "KVA_EWRAP", "a size, rounded up, or a range's end passes 2^64 - 1"},
    {KVA_EWINDOW, "KVA_EWINDOW", "a window has min > max, or lies wholly outside the space"},
    {KVA_ERANGE, "KVA_ERANGE", "part of the range lies outside the space or its segment, or is absent"},
    {KVA_EUNKNOWN, "KVA_EUNKNOWN", "the address lies outside the space, or is absent"},
    {KVA_EINTERIOR, "KVA_EINTERIOR", "the address lies inside a busy segment, not at its start"},
    {KVA_EDOUBLE, "KVA_EDOUBLE", "the address is free already"},
    {KVA_EDEFERRED, "KVA_EDEFERRED", "the address was freed already, and is not reusable yet"},
    {KVA_EREENTRY, "KVA_EREENTRY", "a callback must not make this call"},
    {KVA_ECORRUPT, "KVA_ECORRUPT", "an invariant is broken"},
};

static const struct status_words *words_of_status(enum kva_status status)
{
    static const struct status_words unknown = {KVA_OK, "KVA_E?", "not a status of kva"};

    for (size_t i = 0; i < sizeof status_words / sizeof status_words[0]; i++) {
        if (status_words[i].status == status)
            return &status_words[i];
    }
    return &unknown;
}

const char *kva_status_name(enum kva_status status)
{
    return words_of_status(status)->name;
}

const char *kva_status_text(enum kva_status status)
{
    return words_of_status(status)->text;
}
