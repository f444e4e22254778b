package story

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Play plays every story in testdata, each on machines of its own: cast returns
// what takes the words of one step and tells the answer, line by line. With
// update the stories are written anew: run the test with -update and read the
// diff.
func Play(t *testing.T, update bool, cast func(*testing.T) (act func(words []string) []string)) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(string(want), cast(t))
			if update {
				err = os.WriteFile(file, []byte(got), 0o644)
			} else if got != string(want) {
				t.Errorf("the story is told otherwise:\n%s", got)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// tell plays one story: parts are separated by empty lines, what follows a #
// at the beginning of a line is for people.
func tell(story string, act func(words []string) []string) string {
	var told strings.Builder
	for part := range strings.SplitSeq(strings.TrimSpace(story), "\n\n") {
		steps, _, _ := strings.Cut(part, "\n----")
		var answer []string
		for step := range strings.Lines(steps) {
			if w := strings.Fields(step); len(w) > 0 && w[0] != "#" {
				answer = append(answer, act(w)...)
			}
		}
		told.WriteString(strings.TrimSpace(steps) + "\n")
		if len(answer) > 0 {
			told.WriteString("----\n" + strings.Join(answer, "\n") + "\n")
		}
		told.WriteString("\n")
	}
	return strings.TrimSuffix(told.String(), "\n")
}
