# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Print the public names that headers declare, for scripts/check-names.sh. Paths are relative to include/.
#
#     cd include && awk -f ../scripts/names.awk kva/HEADER...
#
# Output, in no order, tabs between the fields:
#
#     name  NAME  KIND  HEADER  LINE
#     into  HEADER  HEADER                the first includes the second
#
# KIND is function, inline (a function with a body), object, macro, enumerator, struct, enum, union, type or member. A
# tag that is declared and nowhere defined is a name of each header that declares it. A member is STRUCT.MEMBER.
# Include guards, code in #ifdef __cplusplus, and members that are marked /* private */ or belong to a structure that
# is private as a whole are left out.
#
# Reading C takes two steps: cut divides lines into tokens; at the end of each file, declaration reads one
# declaration after the other by recursive descent.

BEGIN {
    OFS = "\t"
    word = "^[A-Za-z_][A-Za-z_0-9]*$"
    is_private["kva_space"] = is_private["kva_link"] = is_private["kva_callbacks"] = 1
}

FNR == 1 { begin_file() }
END      { end_file(); print_tags() }

{ line = held $0 }
line ~ /\\$/ && !in_comment { held = substr(line, 1, length(line) - 1); next }
{ held = "" }
!in_comment && line ~ /^[ \t]*#/ { directive(line); next }
!skipping { cut(line) }

function begin_file()
{
    if (header != "")
        end_file()
    header = FILENAME
    tokens = depth = skipping = in_comment = 0
    held = ""
}

function end_file()
{
    for (at = 1; at <= tokens;)
        declaration()
}

function put(name, kind, where)
{
    print "name", name, kind, header, where
}

# ----------------------------------------------------------------------------------------- directives

# depth counts open #if; skipping is the depth of an #if whose branch is only for C++.
function directive(line,    name)
{
    sub(/^[ \t]*#[ \t]*/, "", line)
    if (line ~ /^if/) {
        depth++
        if (!skipping && line ~ /^if(def|[ \t]+defined).*__cplusplus/)
            skipping = depth
    } else if (line ~ /^el/ && skipping == depth) {
        skipping = 0
    } else if (line ~ /^endif/) {
        if (skipping == depth)
            skipping = 0
        depth--
    } else if (!skipping && line ~ /^include[ \t]*[<"]kva\//) {
        sub(/^include[ \t]*[<"]/, "", line)
        sub(/[>"].*/, "", line)
        print "into", header, line
    } else if (!skipping && line ~ /^define[ \t]/) {
        sub(/^define[ \t]+/, "", line)
        name = line
        sub(/[^A-Za-z_0-9].*/, "", name)
        if (line !~ /^[A-Z_0-9]+_H[ \t]*$/)
            put(name, "macro", FNR)
    }
}

# --------------------------------------------------------------------------------------------- tokens

# cut: split a line into tokens. A comment is no token, but /* private */ becomes @.
function cut(line)
{
    for (;;) {
        if (in_comment) {
            if (!match(line, /\*\//))
                return
            line = substr(line, RSTART + 2)
            in_comment = 0
        }
        sub(/^[ \t]+/, "", line)
        if (line == "" || line ~ /^\/\//)
            return
        if (line ~ /^\/\*/) {
            if (line ~ /^\/\*+[ \t]*private[ \t]*\*\//)
                add("@")
            line = substr(line, 3)
            in_comment = 1
        } else {
            if (!match(line, /^"([^"\\]|\\.)*"/) && !match(line, /^'([^'\\]|\\.)*'/) &&
                !match(line, /^[A-Za-z_0-9]+/))
                RLENGTH = 1
            add(substr(line, 1, RLENGTH))
            line = substr(line, RLENGTH + 1)
        }
    }
}

function add(text)
{
    token[++tokens] = text
    line_of[tokens] = FNR
}

# --------------------------------------------------------------------------------------- declarations

# past: the place after the bracket that closes the one at `from`.
function past(from,    open)
{
    open = 0
    for (; from <= tokens; from++) {
        if (token[from] ~ /^[({[]$/)
            open++
        else if (token[from] ~ /^[])}]$/ && --open == 0)
            return from + 1
    }
    return from
}

# declaration: read the declaration at `at`, and move `at` after it.
function declaration(    is_type, is_function, kind, name, where)
{
    is_type = is_function = 0
    kind = "function"
    name = ""
    for (; at <= tokens && token[at] != ";"; ) {
        if (token[at] == "typedef") {
            is_type = 1
            at++
        } else if (token[at] ~ /^(struct|union|enum)$/) {
            tagged()
        } else if (token[at] ~ /^(__attribute__|_Static_assert|_Alignas)$/) {
            at = past(at + 1)
        } else if (token[at] == "(" && token[at + 1] == "*") { # a pointer to a function
            name = token[at + 2]
            where = line_of[at + 2]
            at = past(past(at))
        } else if (token[at] == "(") {
            is_function = 1
            at = past(at)
        } else if (token[at] == "[") {
            at = past(at)
        } else if (token[at] == "{") { # the body
            kind = "inline"
            at = past(at)
            break
        } else {
            if (token[at] ~ word && token[at] !~ /^(const|restrict|volatile|KVA_API)$/ && !is_function) {
                name = token[at]
                where = line_of[at]
            }
            at++
        }
    }
    if (token[at] == ";")
        at++
    if (name != "")
        put(name, is_type ? "type" : is_function ? kind : "object", where)
}

# tagged: read a struct, union or enum, with its tag and its body if it has them.
function tagged(    kind, tag, where)
{
    kind = token[at++]
    if (token[at] ~ word) {
        tag = token[at]
        where = line_of[at++]
    }
    if (token[at] == "{") {
        if (tag != "") {
            put(tag, kind, where)
            defined[kind, tag] = 1
        }
        at++
        if (kind == "enum")
            enumerators()
        else
            members(tag)
    } else if (token[at] == ";" && tag != "") {
        declared[kind OFS tag OFS header OFS where]
    }
}

function print_tags(    key, part)
{
    for (key in declared) {
        split(key, part, OFS)
        if (!((part[1], part[2]) in defined))
            print "name", part[2], part[1], part[3], part[4]
    }
}

function enumerators()
{
    while (at <= tokens && token[at] != "}") {
        put(token[at], "enumerator", line_of[at])
        while (at <= tokens && token[at] !~ /^[,}]$/)
            at = token[at] ~ /^[({[]$/ ? past(at) : at + 1
        if (token[at] == ",")
            at++
    }
    at++
}

# members: read up to the brace that ends the structure. Members of a structure without a tag belong to the outer one.
function members(tag,    name, where)
{
    while (at <= tokens && token[at] != "}") {
        if (token[at] ~ /^[,;]$/) {
            if (name != "" && token[at] == ";" && token[at + 1] == "@")
                name = ""
            if (name != "" && tag != "" && !(tag in is_private))
                put(tag "." name, "member", where)
            name = ""
            at++
        } else if (token[at] ~ /^(struct|union|enum)$/) {
            if (token[at + 1] == "{" && token[at] != "enum") {
                at += 2
                members(tag)
            } else {
                tagged()
            }
        } else if (token[at] == "(" && token[at + 1] == "*") {
            name = token[at + 2]
            where = line_of[at + 2]
            at = past(past(at))
        } else if (token[at] ~ /^[[(]$/) {
            at = past(at)
        } else if (token[at] == ":") {
            at += 2
        } else {
            if (token[at] ~ word && token[at] !~ /^(const|restrict|volatile)$/) {
                name = token[at]
                where = line_of[at]
            }
            at++
        }
    }
    at++
}
