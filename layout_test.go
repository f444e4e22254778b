package cluster_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const houseModule = "github.com/ozanturksever/go-cluster"

// TestLayout holds the imports of every room against LAYOUT.txt, the map of the
// house, and the map against the house: a line for a room that is not there,
// or a module that is granted and not used, is an error too.
//
// A line names a room or a wing (a path ending in /...) and what it may import:
// rooms of this module, and modules of others. The first line that matches a
// room is its law. "pure" shuts out the standard packages that touch the
// world, "tests" says that only tests may import the room. Tests may import
// what they like.
func TestLayout(t *testing.T) {
	f, err := os.Open("LAYOUT.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	laws, err := readLaws(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range checkLayout(laws, readHouse(t)) {
		t.Error(fault)
	}
}

// layoutLaw is one line of LAYOUT.txt.
type layoutLaw struct {
	room  string
	may   []string
	pure  bool
	tests bool
}

// worldly are the standard packages, each with all below it, that a pure room
// may not open.
var worldly = []string{
	"C", "crypto/rand", "database", "expvar", "log", "math/rand", "net", "os",
	"plugin", "runtime", "sync", "syscall", "testing", "unsafe",
}

func readLaws(r io.Reader) (laws []layoutLaw, err error) {
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line, _, _ := strings.Cut(sc.Text(), "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		room, may, ok := strings.Cut(line, "<-")
		if !ok {
			return nil, fmt.Errorf("LAYOUT.txt:%d: no <- in %q: write room <- what it may import", n, line)
		}
		l := layoutLaw{room: strings.TrimSpace(room)}
		for w := range strings.FieldsSeq(may) {
			switch w {
			case "pure":
				l.pure = true
			case "tests":
				l.tests = true
			default:
				l.may = append(l.may, w)
			}
		}
		laws = append(laws, l)
	}
	return laws, sc.Err()
}

// checkLayout says where the laws and the files disagree.
func checkLayout(laws []layoutLaw, files []houseFile) (faults []string) {
	lived := make(map[string]bool)       // law's room: some room falls under it
	used := make(map[string]bool)        // law's room + " " + pattern: some file needs it
	reported := make(map[[2]string]bool) // room, import: one fault for a room, not one for each of its files
	for _, f := range files {
		room := f.room()
		l, ok := lawOf(laws, room)
		if !ok {
			if !f.isTest() && !reported[[2]string{room}] {
				reported[[2]string{room}] = true
				faults = append(faults, fmt.Sprintf("%s has no line in LAYOUT.txt", room))
			}
			continue
		}
		lived[l.room] = true
		for _, imp := range f.imports() {
			pattern := l.grants(imp)
			used[l.room+" "+pattern] = true
			if f.isTest() || reported[[2]string{room, imp}] {
				continue
			}
			reported[[2]string{room, imp}] = true
			switch {
			case pattern == "":
				faults = append(faults, fmt.Sprintf("%s: %s must not import %s%s", f.path, room, roomOf(imp), whoMay(laws, imp)))
			case onlyTests(laws, imp):
				faults = append(faults, fmt.Sprintf("%s: %s is for tests only: %s must not import it", f.path, roomOf(imp), room))
			}
		}
	}
	for _, l := range laws {
		if !lived[l.room] {
			faults = append(faults, fmt.Sprintf("LAYOUT.txt: no room answers to %s: it is gone, or an earlier line covers it", l.room))
			continue
		}
		for _, p := range l.may {
			if isForeign(p) && !used[l.room+" "+p] {
				faults = append(faults, fmt.Sprintf("LAYOUT.txt: %s may import %s and does not: take the right away", l.room, p))
			}
		}
	}
	return faults
}

// grants returns the word of the law that allows the import, "" for none.
func (l layoutLaw) grants(imp string) string {
	if !isForeign(imp) && !isOurs(imp) {
		shut := slices.ContainsFunc(worldly, func(w string) bool { return covers(w+"/...", imp) })
		if l.pure && shut {
			return ""
		}
		return "std"
	}
	for _, p := range l.may {
		if covers(p, roomOf(imp)) {
			return p
		}
	}
	return ""
}

// whoMay tells the reader of a fault which rooms are allowed a foreign module.
func whoMay(laws []layoutLaw, imp string) string {
	if !isForeign(imp) {
		return ""
	}
	var who []string
	for _, l := range laws {
		if l.grants(imp) != "" {
			who = append(who, l.room)
		}
	}
	if len(who) == 0 {
		return ": no room may"
	}
	return ": only " + strings.Join(who, " and ") + " may"
}

func onlyTests(laws []layoutLaw, imp string) bool {
	l, ok := lawOf(laws, roomOf(imp))
	return ok && isOurs(imp) && l.tests
}

func lawOf(laws []layoutLaw, room string) (layoutLaw, bool) {
	for _, l := range laws {
		if covers(l.room, room) {
			return l, true
		}
	}
	return layoutLaw{}, false
}

// covers says whether a room, or an import path, falls under a word of the map.
func covers(pattern, room string) bool {
	if wing, ok := strings.CutSuffix(pattern, "/..."); ok {
		return room == wing || strings.HasPrefix(room, wing+"/")
	}
	return pattern == room
}

func isOurs(imp string) bool {
	return imp == houseModule || strings.HasPrefix(imp, houseModule+"/")
}

// isForeign says whether an import path is of another module: its first part
// has a dot, as a host's name does.
func isForeign(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return strings.Contains(strings.TrimPrefix(first, "."), ".") && !isOurs(imp)
}

// roomOf shortens an import path of this module to its room, "." for the root.
func roomOf(imp string) string {
	if imp == houseModule {
		return "."
	}
	return strings.TrimPrefix(imp, houseModule+"/")
}

// TestLayoutFindsPlants plants one violation at a time and wants it named.
func TestLayoutFindsPlants(t *testing.T) {
	const layout = `# a small house
low       <- pure
mid/store <- low lib.example/db/...
mid/...   <- low
sim       <- tests low
.         <- low mid/...`
	sound := map[string]string{
		"low/low.go":       "strings",
		"mid/store/db.go":  "lib.example/db/sql",
		"mid/a/a.go":       houseModule + "/low",
		"sim/sim.go":       houseModule + "/low",
		"face.go":          houseModule + "/mid/store",
		"low/low_test.go":  "os",
		"mid/a/a_test.go":  "lib.example/check",
		"chaos/c_test.go":  houseModule + "/sim",
		"face_linux.go":    "os",
		"mid/store/doc.go": "",
	}
	plants := []struct{ path, imp, want string }{
		{"low/low.go", "strings", ""},
		{"low/w.go", "os/exec", "low must not import os/exec"},
		{"low/w.go", "sync", "low must not import sync"},
		{"low/w.go", houseModule + "/mid/a", "low must not import mid/a"},
		{"low/w_windows.go", "net", "low must not import net"},
		{"mid/a/w.go", houseModule + "/mid/store", "mid/a must not import mid/store"},
		{"mid/a/w.go", "lib.example/db", "mid/a must not import lib.example/db: only mid/store may"},
		{"w.go", "lib.example/other", ". must not import lib.example/other: no room may"},
		{"w.go", houseModule + "/sim", ". must not import sim"},
		{"new/w.go", "", "new has no line in LAYOUT.txt"},
		{"mid/store/db.go", "", "mid/store may import lib.example/db/... and does not"},
		{"sim/sim.go", "-", "no room answers to sim"},
	}
	for _, p := range plants {
		t.Run(path.Join(p.path, p.imp), func(t *testing.T) {
			laws, err := readLaws(strings.NewReader(layout))
			if err != nil {
				t.Fatal(err)
			}
			faults := strings.Join(checkLayout(laws, plantImport(t, sound, p.path, p.imp)), "\n")
			if p.want == "" && faults != "" || !strings.Contains(faults, p.want) {
				t.Errorf("faults %q, want %q", faults, p.want)
			}
		})
	}
	t.Run("tests only", func(t *testing.T) {
		laws, _ := readLaws(strings.NewReader("sim <- tests\n. <- sim"))
		faults := checkLayout(laws, plantImport(t, map[string]string{"sim/s.go": ""}, "w.go", houseModule+"/sim"))
		if len(faults) != 1 || !strings.Contains(faults[0], "for tests only") {
			t.Errorf("faults %q", faults)
		}
	})
	if _, err := readLaws(strings.NewReader("room -> wrong arrow")); err == nil {
		t.Error("a line without <- was read")
	}
}

// plantImport builds a house from "path: its one import" and one planted file;
// the import "-" takes the file away.
func plantImport(t *testing.T, sound map[string]string, plant, imp string) (files []houseFile) {
	texts := maps.Clone(sound)
	texts[plant] = imp
	for _, p := range slices.Sorted(maps.Keys(texts)) {
		text := "package p\n"
		switch i := texts[p]; i {
		case "-":
			continue
		case "":
		default:
			text += "import _ " + strconv.Quote(i) + "\n"
		}
		files = append(files, parseHouseFile(t, p, text))
	}
	return files
}
