package command

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Command is what stands behind a name.
type Command struct {
	Argv    []string      // the program by its absolute path, and its first arguments
	Args    []string      // regular expressions; each argument of a plugin must match one as a whole. None: no arguments
	Env     []string      // the whole environment, "NAME=value"; nil: PATH and LANG only
	Dir     string        // where it runs, an absolute path; "": /
	Timeout time.Duration // 30 s; a plugin's own deadline may be earlier
	Output  int64         // bytes of stdout, and of stderr; 256 KiB
}

// Defaults and bounds of a command.
const (
	defaultTimeout = 30 * time.Second
	defaultOutput  = 256 << 10
	maxTimeout     = 10 * time.Minute
	maxOutput      = 1 << 20
	maxArgBytes    = 64 << 10
)

// definition is a command that has been checked.
type definition struct {
	Command
	args []*regexp.Regexp
}

// check fills in the defaults.
func (c Command) check(name string) (d definition, err error) {
	bad := func(format string, args ...any) (definition, error) {
		return definition{}, fmt.Errorf("%w: command %s: %s", pluginapi.ErrInvalid, name, fmt.Sprintf(format, args...))
	}
	if err := pluginapi.CheckName("command", name); err != nil {
		return definition{}, err
	}
	switch {
	case len(c.Argv) == 0 || !filepath.IsAbs(c.Argv[0]):
		return bad("the program must be an absolute path")
	case c.Dir != "" && !filepath.IsAbs(c.Dir):
		return bad("the folder %q must be an absolute path", c.Dir)
	case c.Timeout < 0 || c.Timeout > maxTimeout:
		return bad("the timeout %s: up to %s is allowed", c.Timeout, maxTimeout)
	case c.Output < 0 || c.Output > maxOutput:
		return bad("%d bytes of output: up to %d are allowed", c.Output, int64(maxOutput))
	}
	for _, word := range append(append([]string{c.Dir}, c.Argv...), c.Env...) {
		if strings.ContainsRune(word, 0) {
			return bad("%q holds a zero byte", word)
		}
	}
	for _, e := range c.Env {
		if i := strings.IndexByte(e, '='); i < 1 {
			return bad("%q in the environment is not NAME=value", e)
		}
	}
	d.Command = c
	for _, text := range c.Args {
		re, err := regexp.Compile(text) // alone: it must not close the brackets around it
		if err == nil {
			re, err = regexp.Compile(`\A(?:` + text + `)\z`)
		}
		if err != nil {
			return bad("the arguments %q: %v", text, err)
		}
		d.args = append(d.args, re)
	}
	if d.Timeout == 0 {
		d.Timeout = defaultTimeout
	}
	if d.Output == 0 {
		d.Output = defaultOutput
	}
	if d.Env == nil {
		d.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	}
	if d.Dir == "" {
		d.Dir = string(filepath.Separator)
	}
	return d, nil
}

// allow checks the arguments of a plugin.
func (d definition) allow(args []string) error {
	size := 0
	for i, a := range args {
		size += len(a)
		if strings.ContainsRune(a, 0) {
			return fmt.Errorf("%w: argument %d holds a zero byte", pluginapi.ErrInvalid, i+1)
		}
		if !d.matches(a) {
			return fmt.Errorf("%w: argument %d, %.80q, is none that the operator allows for this command", pluginapi.ErrNotGranted, i+1, a)
		}
	}
	if size > maxArgBytes {
		return fmt.Errorf("%w: the arguments have %d bytes: the most is %d", pluginapi.ErrTooLarge, size, maxArgBytes)
	}
	return nil
}

func (d definition) matches(arg string) bool {
	for _, re := range d.args {
		if re.MatchString(arg) {
			return true
		}
	}
	return false
}
