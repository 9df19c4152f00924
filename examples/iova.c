/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/**
 * I/O virtual addresses: an IOMMU translates them for devices, some of which have only 32 address lines. They
 * are allocated from the top. Their frees are deferred, because the IOMMU's cache of translations (IOTLB) may
 * still hold them. To invalidate that cache costs as much for many ranges as for one.
 */
#include <inttypes.h>
#include <kva/deferred.h>
#include <stdio.h>

enum { PAGE = 4096, FEW = 2 }; /* for more ranges than that, everything is invalidated at once */

struct iommu {
    struct kva_space *space;
};

/** The flush callback. The space frees the ranges on the list as soon as this returns, and not before. */
static void invalidate(void *context, uint64_t start, uint64_t last)
{
    struct iommu *iommu = context;
    struct kva_segment range;
    enum kva_status s;
    unsigned count = 0;

    for (s = kva_flush_first(iommu->space, &range); s == KVA_OK && count <= FEW;
         s = kva_flush_next(iommu->space, &range))
        count++;
    if (count > FEW) {
        printf("invalidate everything: ranges in 0x%" PRIx64 "-0x%" PRIx64 "\n", start, last);
        return;
    }
    for (s = kva_flush_first(iommu->space, &range); s == KVA_OK; s = kva_flush_next(iommu->space, &range))
        printf("invalidate 0x%" PRIx64 "-0x%" PRIx64 "\n", range.start, range.last);
}

/** Allocate the highest free range that the device can use. Returns 0, which is outside the space, if there
 *  is none. */
static uint64_t map(struct iommu *iommu, uint64_t bytes, uint64_t device_mask)
{
    struct kva_request request = {.size = bytes, .max = device_mask, .policy = KVA_HIGHEST};
    uint64_t address;

    return kva_alloc(iommu->space, &request, &address) == KVA_OK ? address : 0;
}

int main(void)
{
    const uint64_t old_device = 0xffffffff, device = UINT64_MAX;
    struct iommu iommu;
    struct kva_config config = {.first = PAGE,
                                .last = (UINT64_C(1) << 48) - 1,
                                .quantum = PAGE,
                                .flush = invalidate,
                                .flush_context = &iommu,
                                .deferred_limit = 1 << 20};
    uint64_t ring[8];

    if (kva_space_create(&config, &iommu.space) != KVA_OK)
        return 1;
    uint64_t sound = map(&iommu, 3 * PAGE, old_device);
    uint64_t disk = map(&iommu, 10000, device); /* rounded up to 3 pages */
    printf("sound 0x%" PRIx64 " disk 0x%" PRIx64 "\n", sound, disk);
    for (int i = 0; i < 8; i++)
        ring[i] = map(&iommu, PAGE, device);

    kva_free_deferred(iommu.space, sound); /* three segments, two of them adjacent: two ranges */
    kva_free_deferred(iommu.space, ring[1]);
    kva_free_deferred(iommu.space, ring[2]);
    printf("not reused yet: 0x%" PRIx64 "\n", map(&iommu, 3 * PAGE, old_device));
    kva_flush(iommu.space);
    printf("reused: 0x%" PRIx64 "\n", map(&iommu, 3 * PAGE, old_device));

    kva_free_deferred(iommu.space, disk); /* three ranges: disk and ring[0] are adjacent */
    kva_free_deferred(iommu.space, ring[0]);
    kva_free_deferred(iommu.space, ring[4]);
    kva_free_deferred(iommu.space, ring[6]);
    kva_flush(iommu.space);
    kva_space_abandon(iommu.space); /* with all that it still holds */
    return kva_space_destroy(iommu.space) == KVA_OK ? 0 : 1;
}
