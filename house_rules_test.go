package cluster_test

import (
	"path"
	"strings"
)

// houseRules is the list of the rules with their plants.
func houseRules() []houseRule {
	go1 := func(text string) plant { return plant{"room/room.go": text} }
	test := func(text string) plant { return plant{"room/room_test.go": text} }
	pure := func(text string) plant { return plant{"host/core/election/p.go": text} }
	isGo, isCode := houseFile.isGo, houseFile.isCode
	lines := func(n int) string { return strings.Repeat("\n", n) }
	return []houseRule{
		{
			name: "no func init", check: eachFile(isGo, checkInit),
			bad:  []plant{go1("package p\nfunc init() {}"), test("package p\nfunc init() {}")},
			good: []plant{go1("package p\ntype t int\nfunc (t) init() {}\nfunc Init() {}")},
		},
		{
			name: "pure rooms", check: checkPure,
			bad: []plant{
				pure("package p\nfunc f() { go f() }"),
				pure("package p\nimport \"time\"\nfunc f() any { return time.Now() }"),
				pure("package p\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }"),
				pure("package p\nimport \"time\"\nvar after = time.After"),
				pure("package p\nimport \"context\"\nvar f = context.WithTimeout"),
				pure("package p\nimport \"sync\"\ntype t struct { mu sync.Mutex }"),
				pure("package p\nfunc f(c chan int) { select { case <-c: } }"),
				{"pluginapi/p.go": "package p\nimport \"sync/atomic\"\ntype t struct { n atomic.Int64 }"},
			},
			good: []plant{
				pure("package p\nimport \"time\"\nfunc f(now time.Time) time.Time { return now.Add(time.Second) }"),
				{"host/loop.go": "package p\nimport \"time\"\nfunc f() any { go f(); return time.Now() }"},
				{"host/core/election/p_test.go": "package p\nimport \"time\"\nvar now = time.Now()"},
			},
		},
		{
			name: "small files and functions", check: eachFile(isCode, checkSize),
			bad: []plant{
				go1("package p" + lines(maxFileLines+1)),
				go1("package p\nfunc f() {" + lines(maxFuncLines) + "}"),
				go1("package p\ntype t int\nfunc (t) f() {" + lines(maxFuncLines) + "}"),
			},
			good: []plant{
				go1("package p" + lines(maxFileLines)),
				go1("package p\nfunc f() {" + lines(maxFuncLines-1) + "}"),
				test("package p\nfunc f() {" + lines(maxFuncLines) + "}"),
			},
		},
		{
			name: "one package doc", check: checkPackageDoc,
			bad: []plant{
				go1("package p"),
				go1("// Package p is here.\npackage p"),
				{"a/doc.go": "// Package a is a.\npackage a", "a/b.go": "// Package a is b.\npackage a"},
				{"c/doc.go": "// Command c.\npackage main", "c/main.go": "// Command c.\npackage main"},
				{"c/main.go": "// Package c.\npackage c"},
				{"a/doc.go": "//go:build linux\n\npackage a"},
			},
			good: []plant{
				{"a/doc.go": "// Package a is a.\npackage a", "a/b.go": "package a", "a/b_test.go": "// About b.\npackage a"},
				{"c/main.go": "// Command c.\npackage main", "c/run.go": "// Run it.\n\npackage main"},
				test("package p_test"),
			},
		},
		{
			name: "exported names are described", check: eachFile(isCode, checkDocs),
			bad: []plant{
				go1("package p\nfunc F() {}"),
				go1("package p\ntype T int"),
				go1("package p\n// T is.\ntype T int\nfunc (t *T) M() {}"),
				go1("package p\n// T is.\ntype T[K any] int\nfunc (t T[K]) M() {}"),
				go1("package p\nconst C = 1"),
				go1("package p\nvar a, V int"),
				go1("package p\n//go:noinline\nfunc F() {}"),
				go1("package p\ntype (\n\t// T is.\n\tT int\n\tU int\n)"),
			},
			good: []plant{
				go1("package p\n// F does.\nfunc F() {}\nfunc f() {}\ntype t int\nfunc (t) M() {}"),
				go1("package p\n// All of them.\nconst (\n\tA = 1\n\tB = 2\n)\nvar V int // counts"),
				test("package p\nfunc TestX() {}"),
			},
		},
		{
			name: "packages have names that say something", check: eachFile(isGo, checkNames),
			bad: []plant{
				go1("package util"), go1("package helpers"), test("package common_test"),
				{"host/misc/m.go": "package fine"}, {"base/b.go": "package base"},
			},
			good: []plant{go1("package utility"), {"host/basement/b.go": "package basement"}},
		},
		{
			name: "no sleep", check: eachFile(isGo, checkSleep),
			bad: []plant{
				test("package p\nimport \"time\"\nfunc f() { time.Sleep(1) }"),
				test("package p\nimport t \"time\"\nvar nap = t.Sleep"),
				go1("package p\nimport \"time\"\nfunc f() { time.Sleep(1) }"),
				test("package p\nimport (\n\"testing/synctest\"\n\"time\"\n)\nfunc f() { synctest.Wait(); time.Sleep(1) }"),
				test("package p\nimport (\n\"testing/synctest\"\n\"time\"\n)\nfunc in(f func()) { synctest.Test(nil, f); time.Sleep(1) }"),
				test("package p\nimport (\n\"testing/synctest\"\n\"time\"\n)\nfunc f() { synctest.Test(nil, nil) }\nfunc g() { f(func() { time.Sleep(1) }) }"),
			},
			good: []plant{
				test("package p\nimport (\n\"testing/synctest\"\n\"time\"\n)\nfunc in(f func()) { synctest.Test(nil, f) }\nfunc g() { in(func() { time.Sleep(1) }) }"),
				test("package p\nimport (\n\"testing/synctest\"\n\"time\"\n)\nfunc f() { synctest.Test(nil, func() { time.Sleep(1) }) }"),
				test("package p\nimport \"time\"\nfunc f() { <-time.After(time.Second) }"),
			},
		},
		{
			name: "errors say what was done", check: eachFile(isCode, checkErrors),
			bad:  []plant{go1("package p\nvar e = \"failed" + " to open\"")},
			good: []plant{go1("package p\n// It failed" + " to.\nvar e = \"open file\"")},
		},
		{
			name: "no package-level state", check: checkVars,
			bad: []plant{
				go1("package p\nvar n int"),
				go1("package p\nvar cache = map[string]int{}\nfunc f() { cache[\"a\"] = 1 }"),
				{"room/a.go": "package p\nvar table = []int{1}", "room/b.go": "package p\nfunc f() { table = nil }"},
				go1("package p\nvar table = [2]int{1}\nfunc f() *int { return &table[0] }"),
				go1("package p\nvar table = map[int]int{}\nfunc f() { delete(table, 1) }"),
				go1("package p\nvar Table = []int{1}"),
				go1("package p\nvar hooks = []func(){nil}"),
				go1("package p\nvar x = new(int)"),
				go1("package p\nimport \"sync\"\nvar mu sync.Mutex"),
				go1("package p\nimport _ \"unsafe\"\n//go:linkname hb other.hb\nvar hb int"),
				go1("package p\nvar errno int"),
			},
			good: []plant{
				go1("package p\nimport \"errors\"\nvar ErrGone = errors.New(\"gone\")\nvar errOld error"),
				go1("package p\nimport \"regexp\"\nvar (\n\tword = regexp.MustCompile(`w`)\n\t_ any = word\n)"),
				go1("package p\nimport \"reflect\"\nvar t = reflect.TypeFor[int]()"),
				go1("package p\nimport \"embed\"\n//go:embed x\nvar files embed.FS"),
				go1("package p\nvar table = map[string][]int{\"a\": {1}}\nfunc f() int { table := table; return len(table) }"),
				{"host/bus/embedded/raft.go": "package p\nimport _ \"unsafe\"\n//go:linkname hb other.hb\nvar hb int"},
				test("package p\nvar update bool"),
			},
		},
		{
			name: "no replace in go.mod", check: eachFile(isModFile, checkLines(replacing, "replace: a module must build for who imports it")),
			bad:  []plant{{"go.mod": "module m\n\nreplace a => ../a\n"}, {"bench/go.mod": "replace (\n\ta => b\n)\n"}},
			good: []plant{{"go.mod": "module m\n\nrequire example.com/replace v1.0.0\n"}, go1("package p\n// replace it\n")},
		},
		{
			name: "nothing of this machine", check: eachFile(anyFile, checkLines(machine, "the path or the registry of one machine")),
			bad: []plant{
				{"a.md": "see /wo" + "rk/x"}, {"Makefile": "GOPROXY=https://proxy.gol" + "ang.org"},
				{"a.sh": "/wo" + "rk/x"}, {".ci/run": "apt http://deb.deb" + "ian.org"}, {"p.json": "https://registry.npm" + "js.org"},
			},
			good: []plant{{"a.md": "the work/ folder, a/wo" + "rk/b, debian"}},
		},
		{
			name: "gofmt", check: eachFile(isGo, checkGofmt),
			bad:  []plant{go1("package p\nvar  x int\n"), test("package p\n\n\n\nvar x int\n")},
			good: []plant{go1("package p\n\nvar x int\n")},
		},
		{
			name: "nothing unfinished", check: eachFile(anyFile, checkLines(unfinished, "unfinished: do it, or leave it out")),
			bad: []plant{
				go1("package p // TO" + "DO: more"), {"a.md": "FIX" + "ME"}, {"a.sh": "# XX" + "X"},
				go1("package p\nvar c = context.TO" + "DO()"),
			},
			good: []plant{{"a.sh": "mktemp -d /tmp/a.XX" + "XXXX"}},
		},
		{
			name: "guarantees name their tests", check: checkGuarantees,
			bad: []plant{
				{guaranteesFile: "## Promised\n| G1 | one | `a_test.go:TestOne` |\n"},
				{guaranteesFile: "## Promised\n| G1 | one | `a_test.go:TestOne` |\n", "a_test.go": "package p\nfunc TestTwo() {}"},
				{guaranteesFile: "## Promised\n| G1 | one | soon |\n"},
				{"README.md": ""},
			},
			good: []plant{
				{
					guaranteesFile: "## Promised\n| G1 | one | `a/a_test.go:TestOne`, `a/a_test.go:FuzzTwo` |\n\n## Not promised yet\n| G2 | two | |\n",
					"a/a_test.go":  "package p\nfunc TestOne() {}\nfunc FuzzTwo() {}",
				},
			},
		},
	}
}

func isModFile(f houseFile) bool { return path.Base(f.path) == "go.mod" }
