/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The kva authors */
/** Memory for tables: see tables.h. */
#include "gnu.h"

#include "tables.h"

#include <string.h>

#include "../../src/base/sparse.h"
#include "system.h"

enum piece_state { CLEAN = 0, TAKEN = 1, DIRTY = 2 };

/** Pieces besides the given ones that are open from the beginning, and stay open: one for the table of areas,
 *  one for the rows of bits about pages. So the first area of an instance opens none. */
enum { SPARE = 2 };

static char *at_piece(const struct tables *tables, uint32_t piece)
{
    return tables->pieces + ((size_t)piece << SPARSE_SHIFT);
}

static size_t bytes_between(uint32_t from, uint32_t end)
{
    return (size_t)(end - from) << SPARSE_SHIFT;
}

static bool protect_tables(struct tables *tables, char *from, size_t bytes, int protection)
{
    return protect_memory(from, bytes, protection, &tables->calls);
}

/** Keep this memory out of core files, and on small pages, so that a few entries take little. */
static void advise_of_contents(struct tables *tables, void *from, size_t bytes)
{
    (void)advise_memory(from, bytes, MADV_DONTDUMP, &tables->calls);
    (void)advise_memory(from, bytes, MADV_NOHUGEPAGE, &tables->calls);
}

/* ------------------------------------------------------------------------------------ making and unmaking */

/** Compute where everything lies; false if that is more than there are addresses. */
static bool lay_out_tables(struct tables *tables, const struct tables_spec *spec, uint64_t *pieces_at)
{
    const uint64_t page = spec->page;
    const uint64_t end = 1 + spec->given + SPARE + spec->pieces;
    uint64_t own;

    if (end > UINT32_MAX || !align_up(spec->own + end, page, &own))
        return false;
    *pieces_at = 2 * page + own;
    tables->end = (uint32_t)end;
    tables->least = (uint32_t)(1 + spec->given + SPARE);
    return align_up(*pieces_at + (end << SPARSE_SHIFT) + page, page, &tables->bytes) &&
           tables->bytes <= SIZE_MAX;
}

/** Open the first pieces. Piece 0 can only be read, if a page is no larger than a piece; otherwise pieces
 *  share pages, and all of them are opened. */
static bool open_first(struct tables *tables, uint64_t page)
{
    char *from = tables->mapping + page;
    bool alone = page <= SPARSE_PIECE;

    tables->open = alone ? tables->least : tables->end;
    tables->least = tables->open;
    return protect_tables(tables, from, (size_t)(at_piece(tables, tables->open) - from),
                          PROT_READ | PROT_WRITE) &&
           (!alone || protect_tables(tables, tables->pieces, SPARSE_PIECE, PROT_READ));
}

/** Set the word that differs in a child of fork. Before Linux 4.14 it is always 0: what is done for a child
 *  is right for a parent as well. */
static void set_word(struct tables *tables, uint64_t page)
{
    tables->is_first_process = (uint64_t *)(void *)(tables->mapping + page);
    tables->own_process = tables->is_first_process + 1;
    if (advise_memory(tables->mapping + page, (size_t)page, MADV_WIPEONFORK, &tables->calls))
        *tables->is_first_process = 1;
}

bool kva_port_tables_make(struct tables *tables, const struct tables_spec *spec)
{
    uint64_t pieces_at;

    *tables = (struct tables){.calls = 0};
    if (!lay_out_tables(tables, spec, &pieces_at))
        return false;
    tables->mapping = map_inaccessible(NULL, tables->bytes, 0, &tables->calls);
    if (!tables->mapping)
        return false;
    tables->own = tables->mapping + 2 * spec->page;
    tables->state = (unsigned char *)tables->own + spec->own;
    tables->pieces = tables->mapping + pieces_at;
    advise_of_contents(tables, tables->mapping, (size_t)tables->bytes);
    if (!open_first(tables, spec->page)) {
        kva_port_tables_end(tables);
        return false;
    }
    set_word(tables, spec->page);
    tables->lowest = (uint32_t)spec->given + 1;
    memset(tables->state, TAKEN, tables->lowest);
    return true;
}

void kva_port_tables_end(struct tables *tables)
{
    (void)munmap(tables->mapping, (size_t)tables->bytes);
}

/* -------------------------------------------------------------------------------------------- giving back */

/** Discard the contents of free pieces, or replace the pieces. */
static bool discard_pieces(struct tables *tables, uint32_t from, uint32_t end)
{
    char *at = at_piece(tables, from);
    size_t bytes = bytes_between(from, end);

    if (discard_memory(at, bytes, &tables->calls))
        return true;
    if (!replace_memory(at, bytes, PROT_READ | PROT_WRITE, &tables->calls))
        return false;
    advise_of_contents(tables, at, bytes);
    return true;
}

/** The end of the dirty pieces from `from` on. */
static uint32_t end_of_dirty(const struct tables *tables, uint32_t from)
{
    while (from < tables->open && tables->state[from] == DIRTY)
        from++;
    return from;
}

static void discard_dirty(struct tables *tables)
{
    for (uint32_t from = 1, end; tables->dirty > 0 && from < tables->open; from = end + 1) {
        end = end_of_dirty(tables, from);
        if (end == from || !discard_pieces(tables, from, end))
            continue;
        memset(&tables->state[from], CLEAN, end - from);
        tables->dirty -= end - from;
    }
}

void kva_port_tables_trim(struct tables *tables)
{
    uint32_t open = tables->open;

    discard_dirty(tables);
    while (open > tables->least && tables->state[open - 1] == CLEAN)
        open--;
    if (open < tables->open &&
        protect_tables(tables, at_piece(tables, open), bytes_between(open, tables->open), PROT_NONE))
        tables->open = open;
}

void kva_port_tables_give(struct tables *tables, uint32_t piece)
{
    tables->state[piece] = DIRTY;
    tables->dirty++;
    if (piece < tables->lowest)
        tables->lowest = piece;
}

/* ------------------------------------------------------------------------------------------------- taking */

static bool open_to(struct tables *tables, uint32_t end)
{
    if (!protect_tables(tables, at_piece(tables, tables->open), bytes_between(tables->open, end),
                        PROT_READ | PROT_WRITE))
        return false;
    tables->open = end;
    return true;
}

/** Open an eighth more, so that many pieces take few calls; or one, if that is refused. */
static bool open_more(struct tables *tables)
{
    uint32_t left = tables->end - tables->open;
    uint32_t more = tables->open / 8 > 1 ? tables->open / 8 : 1;

    if (left == 0)
        return false;
    return open_to(tables, tables->open + (more < left ? more : left)) ||
           (more > 1 && open_to(tables, tables->open + 1));
}

bool kva_port_tables_take(struct tables *tables, uint32_t *piece)
{
    while (tables->lowest < tables->open && tables->state[tables->lowest] == TAKEN)
        tables->lowest++;
    uint32_t taken = tables->lowest;
    if (taken == tables->open && !open_more(tables))
        return false;
    if (tables->state[taken] == DIRTY) {
        if (!discard_pieces(tables, taken, taken + 1))
            memset(at_piece(tables, taken), 0, SPARSE_PIECE);
        tables->dirty--;
    }
    tables->state[taken] = TAKEN;
    *piece = taken;
    tables->lowest++;
    return true;
}

/* ----------------------------------------------------------------------------------- tables by themselves */

/** Memory with a closed page on either side, so that no overrun reaches it or leaves it. Core files do not
 *  contain it. */
void *kva_port_alloc_zeroed(void *context, uint64_t bytes)
{
    const uint64_t page = page_size();
    uint64_t calls = 0; /* not counted */
    uint64_t whole;

    (void)context;
    if (!align_up(bytes, page, &whole) || whole > SIZE_MAX - 2 * page)
        return NULL;
    char *mapping = map_inaccessible(NULL, whole + 2 * page, 0, &calls);
    if (!mapping)
        return NULL;
    (void)advise_memory(mapping, (size_t)(whole + 2 * page), MADV_DONTDUMP, &calls);
    if (protect_memory(mapping + page, (size_t)whole, PROT_READ | PROT_WRITE, &calls))
        return mapping + page;
    (void)munmap(mapping, (size_t)(whole + 2 * page));
    return NULL;
}

void kva_port_free_zeroed(void *context, void *table, uint64_t bytes)
{
    const uint64_t page = page_size();
    uint64_t whole;

    (void)context;
    if (align_up(bytes, page, &whole))
        (void)munmap((char *)table - page, (size_t)(whole + 2 * page));
}
