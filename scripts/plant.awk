# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Plant mutations (tests/mutations/README.md): find the definition that each one names, and in it the tokens that it
# replaces. One pass over the sources handles all mutations.
#
#     awk [-v planted=FOLDER] -f scripts/plant.awk LIST SOURCE...
#
# LIST holds the paths of the mutations, one a line; a SOURCE is a path from the root of the tree. For each mutation
# that applies, "NAME FILE" goes to standard output, with the file that it changes, and the changed file goes to
# FOLDER/NAME if there is a FOLDER. Mutations that do not apply are reported, and the exit status is 1.
#
# Reading C takes two steps. next_token cuts tokens off a line: it skips white space and comments, and a string or a
# character constant is one token. add_token joins tokens to items: a directive, a function with its body, or another
# construct that ends in a semicolon at file scope. An item is kept only if a mutation names its definition:
#
#     static const unsigned most = 2;      defines most
#     static int f(int a) { ... }          defines f()
#     struct s { ... };                    defines s
#     enum { A, B = 3 };                   defines A and B
#     #define M(x) ...                     defines M
#     int f(int a);                        defines nothing, like any item without a body or a value

# ------------------------------------------------------------------------------------------------- tokens

BEGIN {
    blank = " \t\f\r"
    word = "[A-Za-z_][A-Za-z_0-9]*|[0-9][A-Za-z_0-9.]*"
    quoted = "\"([^\"\\\\]|\\\\.)*\"|'([^'\\\\]|\\\\.)*'"
    comment = "//|/[*]"
    sign = "<<=|>>=|[.][.][.]|->|[+][+]|--|<<|>>|<=|>=|==|!=|&&|[|][|]|[-+*/%&|^]=|##|[^" blank "]"
    token_form = "^[" blank "]*(" word "|" quoted "|" comment "|" sign ")" # the longest counts, as in C
}

# next_token: cut the next token off `line`. Sets token, and begins and ends: its columns in the line. Returns 0 at
# the end of the line; is_continued or in_comment is set if the next line belongs to it.
function next_token(    stop)
{
    is_continued = 0
    for (;;) {
        if (in_comment) {
            stop = index(line, "*/")
            if (!stop)
                return 0
            in_comment = 0
            cut(stop + 1)
        }
        if (!match(line, token_form))
            return 0
        token = substr(line, 1, RLENGTH)
        cut(RLENGTH)
        sub("^[" blank "]+", "", token)
        begins = ends - length(token)
        if (token == "//" || (token == "\\" && line == "")) {
            is_continued = token == "\\"
            return 0
        }
        if (token != "/*")
            return 1
        in_comment = 1
    }
}

function cut(count)
{
    line = substr(line, count + 1)
    ends += count
}

# start_line TEXT: next_token reads TEXT from now on.
function start_line(text)
{
    line = text
    ends = 0
}

# tokens_of TEXT: return its tokens, each between line feeds, as in the text of an item. Sets token_count.
function tokens_of(text,    lines, count, i, tokens)
{
    tokens = "\n"
    token_count = in_comment = 0
    count = split(text, lines, "\n")
    for (i = 1; i <= count; i++) {
        start_line(lines[i])
        while (next_token()) {
            tokens = tokens token "\n"
            token_count++
        }
    }
    return tokens
}

# ---------------------------------------------------------------------------------------------- mutations

function complain(mutation, message)
{
    print "mutate: " name_of[mutation] " " message >"/dev/stderr"
    failed = 1
}

# read_mutation N PATH: set name_of, anchor_of ("src/base list_remove()"), before_of and after_of, and mark its
# definition as wanted.
function read_mutation(n, path,    text, block, where)
{
    name_of[n] = path
    sub(/^.*\//, "", name_of[n])
    sub(/\.mutation$/, "", name_of[n])
    block = ""
    while ((getline text <path) > 0) {
        if (text == "BEFORE" || text == "AFTER" || text == "END")
            block = text
        else if (block == "" && text ~ /^In: [^ ]+ [^ ]+$/)
            anchor_of[n] = substr(text, 5)
        else if (block == "BEFORE")
            before_of[n] = before_of[n] text "\n"
        else if (block == "AFTER")
            after_of[n] = after_of[n] text "\n"
    }
    close(path)
    gsub(/^[ \t\n]+|[ \t\n]+$/, "", after_of[n])
    if (block != "END" || !anchor_of[n] || tokens_of(before_of[n]) == "\n" ||
        tokens_of(before_of[n]) == tokens_of(after_of[n])) {
        complain(n, "is malformed: tests/mutations/README.md shows the form")
        anchor_of[n] = ""
        return
    }
    is_wanted[anchor_of[n]] = 1
    where = anchor_of[n]
    sub(/ .*/, "", where)
    is_read[where] = 1
}

function folder_of(path)
{
    sub(/\/[^\/]*$/, "", path)
    return path
}

BEGIN {
    mutations = failed = items = kept = 0
    while ((getline path <ARGV[1]) > 0)
        read_mutation(++mutations, path)
    close(ARGV[1])
    ARGV[1] = ""
    for (i = 2; i < ARGC; i++)
        if (!(ARGV[i] in is_read) && !(folder_of(ARGV[i]) in is_read))
            ARGV[i] = ""
        else
            sources++
    in_comment = is_continued = 0
    if (!sources)
        exit
}

# -------------------------------------------------------------------------------------------------- items

# The tokens: token_at[t] stands in line_of[t], in the columns begin_of[t] + 1 .. end_of[t]. The open item has the
# tokens first .. kept; the tokens before belong to items that are kept.

function open_item()
{
    is_open = 1
    first = kept + 1
    depth = names = is_function = is_enum = 0
    head_end = last_name = previous = ""
}

# close_item: the item is complete. Keep it if a mutation needs a name that it defines.
function close_item(    i, is_kept)
{
    is_open = 0
    if (token_at[first] == "#")
        defined[++names] = token_at[first + 1] == "define" ? token_at[first + 2] : ""
    else if (head_end)
        defined[++names] = last_name (is_function ? "()" : "")
    for (i = 1; i <= names; i++)
        is_kept += keep(FILENAME " " defined[i]) + keep(folder_of(FILENAME) " " defined[i])
    if (!is_kept)
        kept = first - 1
}

# keep ANCHOR: keep the open item if the anchor is wanted.
function keep(anchor)
{
    if (!(anchor in is_wanted))
        return 0
    if (!items || first_of[items] != first) {
        first_of[++items] = first
        last_of[items] = kept
        file_of[items] = FILENAME
    }
    items_of[anchor] = items_of[anchor] " " items
    return 1
}

function add_token()
{
    if (begins_line && token == "#" && !in_directive) {
        in_directive = 1
        if (!is_open) {
            open_item()
            is_directive = 1
        }
    }
    begins_line = 0
    if (!is_open) {
        if (token == "}" || token == ";")
            return
        open_item()
    }
    token_at[++kept] = token
    line_of[kept] = FNR
    begin_of[kept] = begins
    end_of[kept] = ends
    if (!in_directive)
        follow()
}

# follow: update the open item for the token.
function follow()
{
    if (token == "(" || token == "[" || token == "{") {
        if (token == "{" && depth == 0 && !head_end)
            end_head()
        depth++
    } else if (token == ")" || token == "]" || token == "}") {
        depth = token == "}" && begins == 0 ? 0 : depth - 1
        if (depth == 0 && token == "}" && is_function)
            close_item()
    } else if (depth == 0) {
        if (token == ";")
            close_item()
        else if (token == "=" && !head_end)
            head_end = token
        else if (token == "enum" && !head_end)
            is_enum = 1
        else if (token ~ /^[A-Za-z_]/ && !head_end)
            last_name = token
    } else if (depth == 1 && head_end == "{" && is_enum && (previous == "{" || previous == ","))
        defined[++names] = token
    previous = token
}

# end_head: a body begins.
function end_head()
{
    head_end = "{"
    is_function = previous == ")"
    is_enum = is_enum && !is_function
    if (previous ~ /^"/) { # extern "C": what follows is at file scope, too
        is_open = 0
        kept = first - 1
    }
}

FNR == 1 {
    if (is_open)
        kept = first - 1
    is_open = in_directive = is_directive = in_comment = is_continued = 0
}

{
    begins_line = !is_continued
    start_line($0)
    while (next_token())
        add_token()
    if (in_directive && !is_continued && !in_comment) {
        if (is_directive)
            close_item()
        in_directive = is_directive = 0
    }
}

# ----------------------------------------------------------------------------------------------- planting

# text_of ITEM: return its tokens, each between line feeds.
function text_of(item,    i)
{
    if (!(item in texts)) {
        texts[item] = "\n"
        for (i = first_of[item]; i <= last_of[item]; i++)
            texts[item] = texts[item] token_at[i] "\n"
    }
    return texts[item]
}

# find_in ITEM TOKENS: return how often they occur in it. Sets hit to the first token of the last place.
function find_in(item, tokens,    text, at, head, skipped, hits)
{
    text = text_of(item)
    hits = skipped = 0
    while ((at = index(text, tokens)) > 0) {
        head = substr(text, 1, at)
        text = substr(text, at + 1)
        skipped += gsub(/\n/, "", head)
        hit = first_of[item] + skipped - 1
        hits++
    }
    return hits
}

# glue LEFT RIGHT: return a blank if they would become one token.
function glue(left, right)
{
    left = substr(left, length(left))
    right = substr(right, 1, 1)
    if (left ~ /[A-Za-z_0-9]/ && right ~ /[A-Za-z_0-9]/)
        return " "
    return left ~ /[-+*\/%&|^<>=!.#]/ && right ~ /[-+*\/%&|^<>=!.#]/ ? " " : ""
}

# plant MUTATION FILE FROM TO: replace those tokens by its AFTER.
function plant(mutation, file, from, to,    out, text, number, head, tail, after)
{
    out = planted "/" name_of[mutation]
    after = after_of[mutation]
    while ((getline text <file) > 0) {
        number++
        if (number == line_of[from])
            head = substr(text, 1, begin_of[from])
        if (number == line_of[to]) {
            tail = substr(text, end_of[to] + 1)
            print head glue(head, after == "" ? tail : after) after glue(after, tail) tail >out
        } else if (number < line_of[from] || number > line_of[to])
            print text >out
    }
    close(file)
    close(out)
}

# apply MUTATION: report its file, or why it does not apply.
function apply(mutation,    anchor, where, what, item, count, file, tokens, hits, times, i)
{
    anchor = anchor_of[mutation]
    where = what = anchor
    sub(/ .*/, "", where)
    sub(/.* /, "", what)
    count = split(items_of[anchor], item, " ")
    if (count == 0) {
        complain(mutation, "no longer applies: " where " does not define " what)
        return
    }
    file = file_of[item[1]]
    tokens = tokens_of(before_of[mutation])
    hits = 0
    for (i = 1; i <= count; i++) { # more than one in a file: #if and #else
        if (file_of[item[i]] != file) {
            complain(mutation, "is ambiguous: " file " and " file_of[item[i]] " define " what ": name one")
            return
        }
        hits += find_in(item[i], tokens)
    }
    if (hits != 1) {
        times = hits ? hits " times" : "not"
        complain(mutation, "no longer applies: its tokens are " times " in " what " of " file)
        return
    }
    print name_of[mutation], file
    if (planted)
        plant(mutation, file, hit, hit + token_count - 1)
}

END {
    for (mutation = 1; mutation <= mutations; mutation++)
        if (anchor_of[mutation])
            apply(mutation)
    exit failed
}
