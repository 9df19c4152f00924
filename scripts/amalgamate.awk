# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors
#
# Write kva.c from all sources, kva.h and kva_vm.h from the public headers, for scripts/amalgamate.sh.
#
#     awk -v into=FOLDER -f amalgamate.awk HEADERS SOURCES       in the root of the tree; paths are relative
#
# An internal header stands where it is included first. Three things differ from the preprocessor:
#
#     forms        The bt engine is compiled once for each set of instructions. A header that tests BT_SIMD, or includes
#                  one that does, is a template. It is repeated for each source that defines BT_SIMD; in all forms but
#                  the first, the names that it defines end with the name of the form.
#     static       Functions and objects that no public header declares become static. So the program exports none of
#                  them, and the compiler drops the unused ones.
#     conditions   Floor 3 (src/vmap) and the port each stand in an #if.
#
# The code must look as clang-format leaves it: a directive begins its line, and braces are balanced in each branch of
# an #if. Other code is refused as "FILE:LINE: reason", with status 1.
BEGIN {
    name_pattern = "[A-Za-z_][A-Za-z0-9_]*"
    text_pattern = "\"([^\"\\\\]|\\\\.)*\"|'([^'\\\\]|\\\\.)*'"
    for (i = 1; i < ARGC; i++)
        sort_in(ARGV[i])
    load_all()
    if (!offences)
        write_all()
    exit offences > 0
}

function offence(path, line, what)
{
    printf "%s:%d: %s\n", path, line, what >"/dev/stderr"
    offences++
}

# ------------------------------------------------------------------------------------------------ reading

function sort_in(path)
{
    if (path ~ /^include\//)
        headers[++header_count] = path
    else if (path ~ /^src\/vmap\//)
        third[++third_count] = path
    else if (path ~ /^src\//)
        lower[++lower_count] = path
    else
        port[++port_count] = path
}

function load_all(    i)
{
    for (i = 1; i <= header_count; i++)
        load(headers[i], headers[i], 1)
    for (i = 1; i <= lower_count; i++)
        load(lower[i], lower[i], 1)
    for (i = 1; i <= third_count; i++)
        load(third[i], third[i], 1)
    for (i = 1; i <= port_count; i++)
        load(port[i], port[i], 1)
}

# Read a file and the files that it includes, once each; `asker` includes it.
function load(path, asker, at,    line, count)
{
    if (path in length_of)
        return
    length_of[path] = 0
    while ((getline line < path) > 0) {
        text[path, ++count] = line
        note_directive(path, count, line)
    }
    close(path)
    length_of[path] = count + 0
    if (!count) {
        offence(asker, at, path " is empty, or cannot be read")
        return
    }
    if (path ~ /^include\//)
        note_public(path)
    else if (path ~ /\.h$/)
        leave_out_guard(path)
    load_included(path)
    if (is_template[path] && path ~ /\.h$/)
        note_template(path)
}

# Licences stand once, at the top. So does the header that defines _GNU_SOURCE for the port: it must come before the
# first header of the C library.
function note_directive(path, at, line,    words)
{
    if (at <= 2 && line ~ /^\/\* SPDX-/)
        left_out[path, at] = 1
    if (line !~ /^#/)
        return
    split(line, words, /[ \t(]+/)
    if (line ~ /^#define _GNU_SOURCE/) {
        requests = requests == "" ? path : requests
        if (requests != path)
            offence(path, at, "_GNU_SOURCE is defined in " requests ", too; the C library is asked in one header")
    } else if (line ~ /^#define [A-Z_]+ static/) {
        static_macro[words[2]] = 1
    } else if (line ~ /^#define BT_SIMD /) {
        form_of[path] = tolower(substr(words[3], 4))
    } else if (line ~ /^#(if|elif) (.*[^A-Z_])?BT_SIMD([^A-Z_]|$)/) {
        is_template[path] = 1
    }
}

# Public headers keep their guards, so that a program may include kva.h and kva/kva.h.
function leave_out_guard(path,    i, name, last)
{
    for (i = 1; i <= length_of[path] && text[path, i] !~ /^#/; i++)
        ;
    name = substr(text[path, i], 9)
    last = length_of[path]
    if (text[path, i] ~ /^#ifndef KVA_[A-Z0-9_]*_H$/ && text[path, i + 1] == "#define " name && text[path, last] ~ /^#endif/)
        left_out[path, i] = left_out[path, i + 1] = left_out[path, last] = 1
    else
        offence(path, i, "a header begins with its guard, KVA_..._H, and ends with it")
}

function load_included(path,    i, target)
{
    for (i = 1; i <= length_of[path]; i++) {
        target = target_of(text[path, i], path)
        if (target == "")
            continue
        load(target, path, i)
        includes[path] = includes[path] " " target
        if (is_template[target])
            is_template[path] = 1
    }
}

# Return the file of this project that a line includes, or "".
function target_of(line, path,    name)
{
    if (line !~ /^#include [<"]/)
        return ""
    name = substr(line, 11)
    sub(/[>"].*/, "", name)
    if (line ~ /^#include </)
        return name ~ /^kva\// ? "include/" name : ""
    sub(/[^\/]*$/, "", path)
    return normal(path name)
}

# Return the path without "." and "..".
function normal(path,    parts, count, kept, top, i, result)
{
    count = split(path, parts, "/")
    for (i = 1; i <= count; i++) {
        if (parts[i] == ".." && top > 0)
            top--
        else if (parts[i] != ".")
            kept[++top] = parts[i]
    }
    result = kept[1]
    for (i = 2; i <= top; i++)
        result = result "/" kept[i]
    return result
}

# Note the name after each KVA_API, and the version.
function note_public(path,    i, words, gathered)
{
    for (i = 1; i <= length_of[path]; i++) {
        if (text[path, i] ~ /^#define KVA_VERSION_(MAJOR|MINOR|PATCH) /) {
            split(text[path, i], words, " ")
            version = version (version == "" ? "" : ".") words[3]
        }
        if (text[path, i] ~ /^KVA_API /)
            gathered = " "
        if (gathered != "")
            gathered = gathered " " without_attributes(code_of(text[path, i]))
        if (gathered != "" && match(gathered, name_pattern "[[(;]")) {
            is_public[substr(gathered, RSTART, RLENGTH - 1)] = 1
            gathered = ""
        }
    }
}

# ------------------------------------------------------------------------------- constructs at file scope

# Return a line without comments, and with "" for each string. Sets `in_comment` if the next line begins in a comment.
function code_of(line,    plain, mark)
{
    while (line != "") {
        if (in_comment) {
            if (!index(line, "*/"))
                return plain
            line = substr(line, index(line, "*/") + 2)
            in_comment = 0
        } else if (!match(line, text_pattern "|/\\*|//")) {
            return plain line
        } else {
            mark = substr(line, RSTART, 2)
            plain = plain substr(line, 1, RSTART - 1)
            line = substr(line, RSTART + RLENGTH)
            if (mark == "//")
                return plain
            if (mark == "/*")
                in_comment = 1
            else
                plain = plain "\"\""
        }
    }
    return plain
}

function without_attributes(code)
{
    gsub(/__attribute__\(\([a-z_]+(\([^()]*\))?(, [a-z_]+(\([^()]*\))?)*\)\)/, "", code)
    return code
}

function begin_following()
{
    depth = in_comment = in_directive = in_body = 0
    head = decided = ""
}

# Follow one more line of a file; `at` is passed on to see_construct(). A construct is an item at file scope; its head
# ends before the first of ( [ { = ; and this mark decides its kind. `depth` counts open brackets.
function follow(line, at,    code, mark)
{
    code = without_attributes(code_of(line))
    if (in_directive || line ~ /^[ \t]*#/) {
        in_directive = line ~ /\\$/
        return
    }
    while (match(code, /[][{}();=]/)) {
        add_to_head(substr(code, 1, RSTART - 1), at)
        mark = substr(code, RSTART, 1)
        code = substr(code, RSTART + 1)
        follow_mark(mark)
    }
    add_to_head(code, at)
}

function add_to_head(words, at)
{
    if (depth > 0 || decided != "" || words !~ /[^ \t]/)
        return
    if (head == "")
        head_at = at
    head = head " " words
}

function follow_mark(mark)
{
    if (depth == 0 && decided == "" && head != "") {
        decided = mark
        if (mark != "(")
            see_construct(mark)
    } else if (depth == 0 && decided == "(" && (mark == "{" || mark == ";")) {
        in_body = mark == "{"
        see_construct(in_body ? "function" : "prototype")
    }
    if (index("([{", mark))
        depth++
    else if (index(")]}", mark))
        depth--
    if (depth == 0 && (mark == ";" || (mark == "}" && in_body))) {
        head = decided = ""
        in_body = 0
    }
}

# The kind of a construct is known: "function", "prototype", or the mark after another head.
function see_construct(kind,    name, is_type)
{
    name = last_name(head)
    is_type = kind == "{" || head ~ /^ *(typedef|_Static_assert)/ || head ~ /^ *(struct|union|enum) [A-Za-z0-9_]+ *$/
    if (gathering)
        gather(name)
    else if (!is_type)
        see_name(name, kind)
}

function last_name(words)
{
    sub(/[^A-Za-z0-9_]+$/, "", words)
    sub(/.*[^A-Za-z0-9_]/, "", words)
    return words
}

# A construct that ends after its name, without `static`, is an object, or a function declared by a type: another one
# defines it.
function see_name(name, kind)
{
    if (name in alias)
        name = alias[name]
    if (kind != "prototype" && head !~ /^ *extern /)
        is_defined[name] = 1
    if (kind ~ /^(function|=|\[)$/ || is_static(head))
        see_definition(name)
    if (!(name in is_public) && !is_static(head)) {
        private_at[++privates] = head_at
        private_name[privates] = name
    }
}

# Static objects of one name without initialisers in two files would become one, and no compiler would report it.
function see_definition(name)
{
    if (name in defined_by && defined_by[name] != current)
        offence(current, current_line, name " is defined in " defined_by[name] ", too; on file scope each name is used once")
    defined_by[name] = current
}

# Whether a declaration has `static`, or a macro that stands for it.
function is_static(words,    parts, count, i)
{
    count = split(words, parts, /[^A-Za-z0-9_]+/)
    for (i = 1; i <= count; i++) {
        if (parts[i] == "static" || parts[i] in static_macro)
            return 1
    }
    return 0
}

# --------------------------------------------------------------------------------------- templates and forms

# Note the names that a template defines: functions, objects, types and constants; and its macros, which end with the
# form.
function note_template(path,    i, line)
{
    gathering = 1
    begin_following()
    for (i = 1; i <= length_of[path]; i++) {
        line = text[path, i]
        if (line ~ /^#define / && !((path, i) in left_out))
            template_macros[++template_macro_count] = macro_of(line)
        follow(line, i)
        if (line ~ /^enum \{.*\};$/ || (decided == "{" && head ~ /^ *enum/))
            gather_constants(line)
    }
    gathering = 0
}

function macro_of(line)
{
    line = substr(line, 9)
    sub(/[^A-Za-z0-9_].*/, "", line)
    return line
}

function gather(name)
{
    if (head !~ /_Static_assert/ && name !~ /^(struct|union|enum|BT_ENGINE)$/ && head !~ /^ *extern /)
        in_template[name] = 1
}

# Note each name that begins an item of an enum's list.
function gather_constants(code,    items, count, i)
{
    sub(/\/\*.*/, "", code)
    sub(/.*\{/, "", code)
    sub(/\}.*/, "", code)
    count = split(code, items, ",")
    for (i = 1; i <= count; i++) {
        if (match(items[i], "^ *" name_pattern)) {
            sub(/^ */, "", items[i])
            sub(/[^A-Za-z0-9_].*/, "", items[i])
            in_template[items[i]] = 1
        }
    }
}

# Return a line in which the names of a template have the suffix of the form; not in comments, strings and members.
function renamed(line,    result, token, before, inside)
{
    inside = in_comment
    while (line != "") {
        if (inside) {
            if (!index(line, "*/"))
                return result line
            result = result substr(line, 1, index(line, "*/") + 1)
            line = substr(line, index(line, "*/") + 2)
            inside = 0
        } else if (!match(line, name_pattern "|" text_pattern "|/\\*|//")) {
            return result line
        } else {
            before = substr(line, 1, RSTART - 1)
            token = substr(line, RSTART, RLENGTH)
            line = substr(line, RSTART + RLENGTH)
            if (token == "//")
                return result before token line
            inside = token == "/*"
            result = result before token (token in in_template && before !~ /(\.|->)$/ ? suffix : "")
        }
    }
    return result
}

# ------------------------------------------------------------------------------------------------- kva.c

function put(line)
{
    if (line != "" || out[out_count] != "")
        out[++out_count] = line
}

# Whether a file, or an expansion of a template, has not been written yet. Marks it as written.
function is_new(path,    key)
{
    key = is_template[path] ? path SUBSEP form : path
    if (key in written)
        return 0
    written[key] = 1
    return 1
}

function put_file(path,    i, saved)
{
    put("")
    put("/* ---- " path " */")
    put("")
    begin_following()
    for (i = 1; i <= length_of[path]; i++) {
        if (!((path, i) in left_out))
            put_line(path, i)
    }
    if (depth != 0 || head != "" || in_comment)
        offence(path, length_of[path], "brackets, or the last declaration, are not closed")
    put("")
}

function put_line(path, i,    line, target)
{
    line = text[path, i]
    target = target_of(line, path)
    if (target != "") {
        put_included(target, path, i)
        return
    }
    if (suffix != "" && is_template[path])
        line = renamed(line)
    if (line ~ /^#if/)
        conditions++
    else if (line ~ /^#endif/)
        conditions--
    else if (line ~ "^#define " name_pattern " " name_pattern "$")
        alias[macro_of(line)] = last_name(line)
    put(line)
    current = path
    current_line = i
    follow(line, out_count)
}

# A header in an #if of one file would be missing in others, so its first inclusion must not stand there.
function put_included(target, path, i)
{
    if (target ~ /^include\// || !is_new(target))
        return
    if (is_template[target] && form == "")
        offence(path, i, target " asks for BT_SIMD, which this file does not define")
    else if (is_template[target] || conditions == 0)
        put_nested(target)
    else
        offence(path, i, target " is included first under a condition")
}

# Includes stand between constructs, so the includer has no state to keep.
function put_nested(target)
{
    if (head != "")
        offence(current, current_line, "an #include inside a declaration")
    put_file(target)
    begin_following()
}

function put_source(path,    i)
{
    if (path in form_of) {
        form = form_of[path]
        suffix = forms++ ? "_" form : ""
    }
    put_file(path)
    if (form != "")
        end_form(path)
    form = suffix = ""
}

function end_form(path,    i)
{
    for (i = 1; i <= length_of[path]; i++) {
        if (text[path, i] ~ /^#define /)
            put("#undef " macro_of(text[path, i]))
    }
    for (i = 1; i <= template_macro_count; i++) {
        if (!(template_macros[i] SUBSEP form in undefined))
            put("#undef " template_macros[i])
        undefined[template_macros[i] SUBSEP form] = 1
    }
}

# Declarations without a definition here stay as they are: memcpy, and the sanitizers' functions.
function make_static(    i)
{
    for (i = 1; i <= privates; i++) {
        if (!(private_name[i] in is_defined))
            continue
        sub(/^extern /, "", out[private_at[i]])
        out[private_at[i]] = "static " out[private_at[i]]
    }
}

function put_all(list, count,    i)
{
    for (i = 1; i <= count; i++)
        put_source(list[i])
}

# ------------------------------------------------------------------------------------------- public headers

# A public header belongs to floor 3 if neither a floor below nor kva.h includes it.
function mark_lower(path,    targets, count, i)
{
    if (path in is_lower)
        return
    is_lower[path] = 1
    count = split(includes[path], targets, " ")
    for (i = 1; i <= count; i++)
        mark_lower(targets[i])
}

# A header comes after the headers that it includes.
function order_header(path,    targets, count, i)
{
    if (path in is_ordered)
        return
    is_ordered[path] = 1
    count = split(includes[path], targets, " ")
    for (i = 1; i <= count; i++)
        order_header(targets[i])
    if (path in is_lower)
        face[++face_count] = path
    else
        vm[++vm_count] = path
}

function order_headers(    i)
{
    mark_lower("include/kva/kva.h")
    for (i = 1; i <= lower_count; i++)
        mark_lower(lower[i])
    order_header("include/kva/kva.h")
    for (i = 1; i <= header_count; i++) {
        if (headers[i] in is_lower)
            order_header(headers[i])
    }
    order_header("include/kva/vm.h")
    for (i = 1; i <= header_count; i++)
        order_header(headers[i])
}

function put_headers(list, count,    i, k)
{
    for (i = 1; i <= count; i++) {
        put("")
        put("/* ---- " substr(list[i], 9) " */")
        put("")
        for (k = 1; k <= length_of[list[i]]; k++) {
            if (!((list[i], k) in left_out) && target_of(text[list[i], k], list[i]) == "")
                put(text[list[i], k])
        }
    }
}

# ------------------------------------------------------------------------------------------------- writing

function put_top(purpose)
{
    out_count = 0
    put(text["include/kva/kva.h", 1])
    put(text["include/kva/kva.h", 2])
    put("/*")
    put(" * " purpose)
    put(" *")
    put(" * Generated from kva " version "; do not edit.")
}

function put_licence(    line)
{
    put(" *")
    while ((getline line < "LICENSE") > 0)
        put(line == "" ? " *" : " * " line)
    close("LICENSE")
    put(" */")
}

function put_use()
{
    put(" *")
    put(" * Compile it with your program, as C11 or later; it needs kva.h and kva_vm.h only where your program includes them:")
    put(" *")
    put(" *     cc -O2 program.c kva.c")
    put(" *")
    put(" * On Linux it holds all of kva. These macros, given with -D, change that:")
    put(" *")
    put(" *     KVA_FREESTANDING     address ranges and page frames alone (kva.h), for a kernel, or a program without a C")
    put(" *                          library. kva_space_create and the other functions of the port are missing, and there")
    put(" *                          are no vector instructions. -ffreestanding implies it; with that, nothing is called")
    put(" *                          but memcpy, memmove, memset and memcmp (without, gcc may call strlen for a loop).")
    put(" *                          Systems other than Linux have no port either, with or without this macro.")
    put(" *     KVA_VMAP             kva_vm.h as well where there is no port; you write the source of pages")
    put(" *     KVA_CHECK_LEVEL=N    checks, from 0 (none) to 3 (the whole structure after each change); 1 by default")
    put(" *")
    put(" * In a shared library, or a plug-in, compile it with -fvisibility=hidden: then these do not export kva's functions.")
    put(" *")
    put(" * Include it into another source only if nothing is included before it, as it begins by asking the")
    put(" * headers of the C library for what they declare.")
}

# One clear error, before the compiler lists all unknown names.
function put_refusals()
{
    put("")
    put("#if defined(__cplusplus)")
    put("#error \"kva.c is C: compile it as C, and link the object into the C++ program\"")
    put("#elif defined(_MSC_VER) && !defined(__clang__)")
    put("#error \"kva.c needs gcc or clang\"")
    put("#elif !defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L")
    put("#error \"kva.c needs C11 or later, as with -std=c11\"")
    put("#endif")
}

function put_switches()
{
    put("")
    put("#if defined(__linux__) && __STDC_HOSTED__ && !defined(KVA_FREESTANDING)")
    put("#define KVA_HAS_PORT 1")
    if (requests != "" && is_new(requests))
        put_file(requests)
    put("#else")
    put("#define KVA_HAS_PORT 0")
    put("#endif")
    put("")
    put("#if KVA_HAS_PORT || defined(KVA_VMAP)")
    put("#define KVA_HAS_VMAP 1")
    put("#else")
    put("#define KVA_HAS_VMAP 0")
    put("#endif")
    put("")
    put("/* All that is not public is static here, and not each build uses all of it. */")
    put("#if defined(__GNUC__)")
    put("#pragma GCC diagnostic push")
    put("#pragma GCC diagnostic ignored \"-Wunused-function\"")
    put("#pragma GCC diagnostic ignored \"-Wunused-const-variable\"")
    put("#endif")
    put("/* At -O3, in one file of all, gcc 12 takes pointers for null that are not, and warns of atomic loads from them. */")
    put("#if defined(__GNUC__) && !defined(__clang__)")
    put("#pragma GCC diagnostic ignored \"-Wstringop-overflow\"")
    put("#endif")
}

function write_source()
{
    put_top("kva: address ranges, page frames and a vmalloc for user space, in one file.")
    put_use()
    put_licence()
    put_refusals()
    put_switches()
    put_headers(face, face_count)
    put("#if KVA_HAS_VMAP")
    put_headers(vm, vm_count)
    put("#endif /* KVA_HAS_VMAP */")
    put_all(lower, lower_count)
    put("#if KVA_HAS_VMAP")
    put_all(third, third_count)
    put("#endif /* KVA_HAS_VMAP */")
    put("#if KVA_HAS_PORT")
    put_all(port, port_count)
    put("#endif /* KVA_HAS_PORT */")
    put("")
    put("#if defined(__GNUC__)")
    put("#pragma GCC diagnostic pop")
    put("#endif")
    make_static()
    write("kva.c")
}

function write_headers()
{
    put_top("kva: address ranges and page frames. kva.c, which comes with this header, says how to compile it.")
    put_licence()
    put_headers(face, face_count)
    write("kva.h")
    put_top("kva: a vmalloc for user space. kva.c, which comes with this header, says how to compile it.")
    put_licence()
    put("#include \"kva.h\"")
    put_headers(vm, vm_count)
    write("kva_vm.h")
}

function write(name,    i)
{
    for (i = 1; i <= out_count; i++)
        print out[i] > (into "/" name)
    close(into "/" name)
}

function write_all()
{
    order_headers()
    write_source()
    if (!offences)
        write_headers()
}
