/* The scoring as a guest in C, by docs/plugin-abi.md. The table is decoded once,
 * into rows that point into the message, as a careful author would do it. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define IMPORT(name) __attribute__((import_module("gchost"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))
IMPORT("input_read") u32 input_read(void *to, u32 cap);
IMPORT("output_write") void output_write(const void *from, u32 len);
EXPORT("gchost_abi_v1") void gchost_abi_v1(void) {}

typedef struct { const u8 *p, *end; int bad; } reader;
typedef struct { u32 number, type; u64 value; reader in; } field;
typedef struct { const u8 *key, *value; u32 key_len, value_len; } label;
typedef struct { i64 leads, free; u32 first, labels; int unfit; } row;

enum { max_rows = 4096, max_labels = 32768, max_asked = 16 };
static u8 table[4 << 20], input[64 << 10], scores[max_rows * 10];
static row rows[max_rows];
static label labels[max_labels];
static u32 row_count, label_count;
static u64 epoch;
static int held;

static u64 varint(reader *r) {
    u64 v = 0;
    for (u32 shift = 0; shift < 70 && r->p < r->end; shift += 7) {
        u8 x = *r->p++;
        if (shift == 63 && x > 1) break;
        v |= (u64)(x & 0x7f) << shift;
        if (x < 0x80) return v;
    }
    r->bad = 1;
    return 0;
}

static int next(reader *r, field *f) {
    if (r->bad || r->p >= r->end) return 0;
    u64 tag = varint(r), len = 0;
    f->number = (u32)(tag >> 3);
    f->type = tag & 7;
    f->value = 0;
    switch (f->type) {
    case 0: f->value = varint(r); break;
    case 1: len = 8; break;
    case 2: len = varint(r); break;
    case 5: len = 4; break;
    default: r->bad = 1;
    }
    if (tag < 8 || tag >> 32 || len > (u64)(r->end - r->p)) r->bad = 1;
    if (r->bad) return 0;
    f->in = (reader){r->p, r->p + len, 0};
    r->p += len;
    return 1;
}

static int fail(const char *code) {
    u8 head[2] = {1 << 3 | 2, 0};
    while (code[head[1]]) head[1]++;
    output_write(head, 2);
    output_write(code, head[1]);
    return 1;
}

static u32 read_all(u8 *to, u32 cap) {
    u32 n = 0, got;
    while (n < cap && (got = input_read(to + n, cap - n)) > 0) n += got;
    return n;
}

static label label_of(reader in, int *bad) {
    label l = {0};
    field f;
    while (next(&in, &f)) {
        if (f.type != 2) continue;
        u32 len = (u32)(f.in.end - f.in.p);
        if (f.number == 1) l.key = f.in.p, l.key_len = len;
        if (f.number == 2) l.value = f.in.p, l.value_len = len;
    }
    *bad |= in.bad;
    return l;
}

static int same(const u8 *a, u32 a_len, const u8 *b, u32 b_len) {
    if (a_len != b_len) return 0;
    for (u32 i = 0; i < a_len; i++) if (a[i] != b[i]) return 0;
    return 1;
}

static int has(const row *c, const label *want) {
    for (const label *l = labels + c->first, *end = l + c->labels; l < end; l++)
        if (same(l->key, l->key_len, want->key, want->key_len))
            return same(l->value, l->value_len, want->value, want->value_len);
    return 0;
}

EXPORT("gc_describe") int describe(u32 len) {
    static const char d[] = "\x0a\x09placement\x12\x05" "bench\x1a\x05" "1.0.0";
    output_write(d, sizeof d - 1);
    return 0;
}

static int keep(reader in) { /* 0 when there are more labels than room, or the row is bad */
    row *c = rows + row_count++;
    *c = (row){.first = label_count};
    int cordoned = 0, healthy = 0, bad = 0;
    field f;
    while (next(&in, &f)) {
        if (f.type == 2 && f.number == 2) {
            if (label_count == max_labels) return 0;
            labels[label_count++] = label_of(f.in, &bad);
        }
        if (f.type != 0) continue;
        if (f.number == 4) c->leads = (i64)f.value;
        if (f.number == 8) c->free = (i64)f.value;
        if (f.number == 10) cordoned = f.value != 0;
        if (f.number == 11) healthy = f.value != 0;
    }
    c->labels = label_count - c->first;
    c->unfit = cordoned || !healthy;
    return !in.bad && !bad;
}

EXPORT("gc_candidates") int candidates(u32 len) {
    if (len > sizeof table) return fail("too large");
    held = 0, row_count = 0, label_count = 0, epoch = 0;
    reader in = {table, table + read_all(table, sizeof table), 0};
    u64 base = 0;
    field f;
    while (next(&in, &f)) {
        if (f.type == 0 && f.number == 1) base = f.value;
        if (f.type == 0 && f.number == 2) epoch = f.value;
        if (f.type == 2 && f.number == 3 && (row_count == max_rows || !keep(f.in))) return fail("too large");
    }
    if (in.bad) return fail("invalid argument");
    if (base) return fail("stale table");
    held = 1;
    return 0;
}

EXPORT("gc_rank") int rank(u32 len) {
    if (len > sizeof input) return fail("too large");
    reader in = {input, input + read_all(input, sizeof input), 0}, app = {0, 0, 0};
    u64 asked = 0;
    u32 apps = 0, requires = 0, prefers = 0;
    label require[max_asked], prefer[max_asked];
    int bad = 0;
    field f;
    while (next(&in, &f)) {
        if (f.type == 0 && f.number == 1) asked = f.value;
        if (f.type == 2 && f.number == 2) app = f.in, apps++;
    }
    if (in.bad || apps != 1) return fail("invalid argument");
    if (!held || asked != epoch) return fail("stale table");
    while (next(&app, &f)) {
        if (f.type != 2 || (f.number != 3 && f.number != 4)) continue;
        if (requires == max_asked || prefers == max_asked) return fail("too large");
        label l = label_of(f.in, &bad);
        if (f.number == 3) require[requires++] = l; else prefer[prefers++] = l;
    }
    if (app.bad || bad) return fail("invalid argument");
    u8 *to = scores;
    for (const row *c = rows; c < rows + row_count; c++) {
        int unfit = c->unfit;
        i64 sum = (c->free >> 30) - c->leads;
        for (u32 i = 0; i < requires; i++) unfit |= !has(c, require + i);
        for (u32 i = 0; i < prefers; i++) if (has(c, prefer + i)) sum += 100;
        if (sum < 0) sum = 0;
        if (unfit) sum = -1;
        u64 v = (u64)sum << 1 ^ (u64)(sum >> 63);
        for (; v >= 0x80; v >>= 7) *to++ = (u8)v | 0x80;
        *to++ = (u8)v;
    }
    u8 head[11] = {1 << 3 | 2}, *end = head + 1;
    u32 n = (u32)(to - scores);
    for (u32 v = n; ; v >>= 7) {
        if (v < 0x80) { *end++ = (u8)v; break; }
        *end++ = (u8)v | 0x80;
    }
    output_write(head, (u32)(end - head));
    output_write(scores, n);
    return 0;
}
